//! CSV files: a header and rows, each of which becomes a RECORD.

use std::collections::VecDeque;
use std::io::BufRead;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};

use super::input::{InputError, Line, LineFault};
use super::physical_lines::{LineSink, PhysicalLines, PlainStream, not_utf8};
use super::wording::quoted;

/// What separates cells, where the header shows which: commas, Excel's semicolons in half of Europe, tabs.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// No row is longer: HubSpot takes 65,536 characters a text. A quote that is still open then never closes.
const MAX_ROW_BYTES: usize = 4 << 20;

/// A row as its lines, and as its cells where it has sound ones.
struct Row {
    lines: Vec<(u64, Vec<u8>)>,
    cells: Result<Vec<Vec<u8>>, String>,
}

/// Lines that are given back when the row that they were read for does not fit.
struct Rows<'p, R> {
    physical: &'p mut PhysicalLines<R>,
    again: VecDeque<(u64, Vec<u8>)>,
}

/// What makes records of rows.
struct Table<'s> {
    stream: &'s PlainStream,
    delimiter: u8,
    header: Vec<String>,
}

/// Reads the header, then every row. A row that does not fit is given up with its first line: an open quote takes no
/// other rows with it.
pub(super) fn read<R: BufRead>(
    physical: &mut PhysicalLines<R>,
    stream: &PlainStream,
    delimiter: Option<u8>,
    sink: &mut LineSink<'_>,
) {
    let mut rows = Rows { physical, again: VecDeque::new() };
    let mut table = match rows.table(stream, delimiter) {
        Ok(Some(table)) => table,
        Ok(None) => return,
        Err(error) => {
            sink(Err(error));
            return;
        }
    };
    let mut described = false;
    loop {
        let line = match rows.next(table.delimiter) {
            Ok(None) => return,
            Ok(Some(row)) => table.line(row, &mut rows.again),
            Err(error) => {
                sink(Err(error));
                return;
            }
        };
        let Some(line) = line else { continue };
        if !described {
            described = true;
            if !sink(Ok(stream.schema(line.number))) {
                return;
            }
        }
        if !sink(Ok(line)) {
            return;
        }
    }
}

impl<R: BufRead> Rows<'_, R> {
    fn line(&mut self) -> Result<Option<(u64, Vec<u8>)>, InputError> {
        match self.again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.physical.next().transpose(),
        }
    }

    /// The next line that has more than blanks, separators and empty quotation marks: a spreadsheet with empty rows above
    /// its table is saved with such lines.
    fn first_line(&mut self) -> Result<Option<(u64, Vec<u8>)>, InputError> {
        let says_nothing = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"' || DELIMITERS.contains(byte);
        loop {
            match self.line()? {
                Some((_, bytes)) if bytes.iter().all(says_nothing) => {}
                line => return Ok(line),
            }
        }
    }

    /// The next row that is not blank.
    fn next(&mut self, delimiter: u8) -> Result<Option<Row>, InputError> {
        let first = loop {
            match self.line()? {
                None => return Ok(None),
                Some((_, bytes)) if bytes.trim_ascii().is_empty() => {}
                Some(line) => break line,
            }
        };
        let mut quotes = Quotes::default();
        quotes.read(&first.1, delimiter);
        let mut bytes = first.1.clone();
        let mut lines = vec![first];
        while quotes.open && bytes.len() < MAX_ROW_BYTES {
            let Some(line) = self.line()? else { break };
            quotes.read(&line.1, delimiter);
            bytes.extend_from_slice(&line.1);
            lines.push(line);
        }
        let cells = match quotes.open {
            true => Err("a quotation mark opens a cell and none closes it; double those inside a cell".to_owned()),
            false => cells(&bytes, delimiter),
        };
        Ok(Some(Row { lines, cells }))
    }

    /// The header; none of an empty file.
    fn table<'s>(&mut self, stream: &'s PlainStream, given: Option<u8>) -> Result<Option<Table<'s>>, InputError> {
        let wrong = |reason: String| InputError::Header { reason };
        let Some((number, bytes)) = self.first_line()? else { return Ok(None) };
        let (delimiter, named) = match (given, named_delimiter(&bytes)) {
            (Some(delimiter), named) => (delimiter, named.is_some()),
            (None, Some(delimiter)) => (delimiter, true),
            (None, None) => (found_delimiter(&bytes).map_err(wrong)?, false),
        };
        match named {
            false => self.again.push_front((number, bytes)),
            true => {
                if let Some(line) = self.first_line()? {
                    self.again.push_front(line);
                }
            }
        }
        let Some(row) = self.next(delimiter)? else { return Ok(None) };
        let mut header = Vec::new();
        for cell in row.cells.map_err(wrong)? {
            let cell =
                String::from_utf8(cell).map_err(|_| wrong("it is not UTF-8; save the file as UTF-8".to_owned()))?;
            header.push(cell.trim().to_owned());
        }
        if header.iter().all(String::is_empty) {
            return Err(wrong("it names no column".to_owned()));
        }
        if let Some(value) = header.iter().find(|name| name.contains('@')) {
            let example = "email,firstname,lastname";
            return Err(wrong(format!(
                "it begins with a row ({value:?}); name the columns in front, such as {example}"
            )));
        }
        let twice = header.iter().enumerate().find(|(at, name)| !name.is_empty() && header[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(wrong(format!("it has the column {name:?} twice; rename or remove one")));
        }
        if let Some(key) = stream.key_properties.iter().find(|key| !header.contains(key)) {
            return Err(wrong(format!("it has no column {key:?}, which --key names; it has {}", header.join(", "))));
        }
        Ok(Some(Table { stream, delimiter, header }))
    }
}

impl Table<'_> {
    /// The line of a row; none of a row whose cells are all empty.
    fn line(&mut self, row: Row, again: &mut VecDeque<(u64, Vec<u8>)>) -> Option<Line> {
        let record = row.cells.and_then(|cells| self.record(&cells));
        let mut lines = row.lines;
        let number = lines[0].0;
        match record {
            Ok(None) => None,
            Ok(Some(record)) => {
                let text = self.stream.record(&Value::Object(record).to_string());
                Some(Line { number, text, fault: None })
            }
            Err(reason) => {
                for line in lines.drain(1..).rev() {
                    again.push_front(line);
                }
                let bytes = lines.remove(0).1;
                match String::from_utf8(bytes) {
                    Ok(text) => {
                        let fault = LineFault { stream: self.stream.name.clone(), reason };
                        Some(Line { number, text: text.trim_end().to_owned(), fault: Some(fault) })
                    }
                    Err(error) => Some(not_utf8(number, &self.stream.name, error.as_bytes())),
                }
            }
        }
    }

    fn record(&self, cells: &[Vec<u8>]) -> Result<Option<Map<String, Value>>, String> {
        let (found, expected) = (cells.len(), self.header.len());
        // Separators at the end of a row alone say nothing.
        let is_blank = |cell: &Vec<u8>| cell.trim_ascii().is_empty();
        if found < expected || !cells[expected..].iter().all(is_blank) {
            return Err(format!(
                "the row has {found} cells and the header {expected}; put a cell that has a {} in it into quotation marks",
                match self.delimiter {
                    b',' => "comma",
                    b';' => "semicolon",
                    b'\t' => "tab",
                    _ => "separator",
                }
            ));
        }
        let mut record = Map::new();
        for (at, (name, cell)) in self.header.iter().zip(cells).enumerate() {
            let text = std::str::from_utf8(cell).map_err(|_| "it is not UTF-8".to_owned())?;
            match (name.is_empty(), text.trim().is_empty()) {
                (true, true) => {}
                (true, false) => {
                    let shown = quoted(text);
                    return Err(format!("cell {} holds {shown}, but its column has no name in the header", at + 1));
                }
                (false, true) => drop(record.insert(name.clone(), Value::Null)),
                (false, false) => drop(record.insert(name.clone(), text.into())),
            }
        }
        Ok(record.values().any(|value| !value.is_null()).then_some(record))
    }
}

fn cells(bytes: &[u8], delimiter: u8) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(bytes.len().max(1))
        .from_reader(bytes);
    let mut row = ByteRecord::new();
    reader.read_byte_record(&mut row).map_err(|error| error.to_string())?;
    let cells = row.iter().map(<[u8]>::to_vec).collect();
    match reader.read_byte_record(&mut row) {
        Ok(false) => Ok(cells),
        _ => Err("it has a line break that no line feed ends; save the file with the line ends of Unix or Windows"
            .to_owned()),
    }
}

/// Whether a cell in quotation marks is open. Marks count only where a cell begins with one.
#[derive(Debug, Default)]
struct Quotes {
    open: bool,
    /// The last byte was a mark that may close the cell or be the first of two.
    closing: bool,
    /// The cell already has a character.
    within: bool,
}

impl Quotes {
    fn read(&mut self, bytes: &[u8], delimiter: u8) {
        for byte in bytes {
            let lookup_by = *byte == b'"';
            if self.closing {
                self.closing = false;
                if lookup_by {
                    continue;
                }
                self.open = false;
            }
            match (self.open, lookup_by) {
                (true, true) => self.closing = true,
                (true, false) => {}
                (false, true) if !self.within => (self.open, self.within) = (true, true),
                (false, _) => self.within = *byte != delimiter && *byte != b'\n' && *byte != b'\r',
            }
        }
        // A mark at the very end closes the cell.
        if self.closing && !bytes.ends_with(b"\n") {
            self.open = false;
        }
    }
}

/// `sep=;`, Excel's own way to name the delimiter.
fn named_delimiter(bytes: &[u8]) -> Option<u8> {
    match bytes.trim_ascii_end() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter),
        b"sep=" if bytes.starts_with(b"sep=\t") => Some(b'\t'),
        _ => None,
    }
}

/// The one delimiter that occurs in the header outside quotation marks.
fn found_delimiter(bytes: &[u8]) -> Result<u8, String> {
    let mut inside = false;
    let mut found = Vec::new();
    for byte in bytes {
        inside ^= *byte == b'"';
        if !inside && DELIMITERS.contains(byte) && !found.contains(byte) {
            found.push(*byte);
        }
    }
    match found.as_slice() {
        [] => Ok(b','),
        [one] => Ok(*one),
        several => {
            let shown: Vec<String> = several.iter().map(|one| format!("{:?}", char::from(*one))).collect();
            Err(format!("it has {}; say with --delimiter which one separates the columns", shown.join(" and ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target_hubspot::lines::{InputFormat, read};

    fn all(input: &[u8]) -> Vec<Result<Line, InputError>> {
        let stream = PlainStream { name: "c".to_owned(), key_properties: Vec::new() };
        let mut all = Vec::new();
        read(input, &InputFormat::Table(stream, None), &mut |line| {
            all.push(line);
            true
        });
        all
    }

    /// `LINE RECORD` or `LINE! REASON` of each row.
    fn told(input: &[u8]) -> Vec<String> {
        let lines = all(input).into_iter().skip(1).map(|line| {
            let line = line.expect("a row");
            match line.fault {
                Some(fault) => format!("{}! {}", line.number, fault.reason),
                None => {
                    let message: Value = serde_json::from_str(&line.text).expect("JSON");
                    format!("{} {}", line.number, message["record"])
                }
            }
        });
        lines.collect()
    }

    #[test]
    fn rows_become_records_by_their_header() {
        let csv = "\u{feff}email, name \r\na@b.c,Ann\r\n\r\n,\r\n\"b@b.c\",\"Bo, \"\"B\"\"\r\nBoss\"\r\nc@b.c,\r\n";
        assert_eq!(
            told(csv.as_bytes()),
            [
                r#"2 {"email":"a@b.c","name":"Ann"}"#,
                r#"5 {"email":"b@b.c","name":"Bo, \"B\"\r\nBoss"}"#,
                r#"7 {"email":"c@b.c","name":null}"#,
            ]
        );
    }

    #[test]
    fn excels_semicolons_and_tabs_are_found_in_the_header() {
        for csv in ["a;b\n1,5;2\n", "\"a\";\"b\"\n1,5;2\n", "sep=;\na;b\n1,5;2", "a\tb\n1,5\t2\n"] {
            assert!(told(csv.as_bytes())[0].ends_with(r#"{"a":"1,5","b":"2"}"#), "{csv}: {:?}", told(csv.as_bytes()));
        }
    }

    #[test]
    fn empty_rows_above_the_header_are_passed_over() {
        for above in ["\r\n", "\n \n", ";;;\n", "\"\";\"\"\n;\n\n", "sep=;\r\n\r\n", "sep=;\n;;\n", "\nsep=;\n"] {
            let csv = format!("{above}a;b\n1;2\n");
            let told = told(csv.as_bytes());
            assert!(told.len() == 1 && told[0].ends_with(r#"{"a":"1","b":"2"}"#), "{above:?}: {told:?}");
        }
    }

    #[test]
    fn a_row_that_does_not_fit_takes_no_other_row_with_it() {
        let csv = "a,b\n1,2,3\n4\n5,\"open\n6,7\n8,9";
        let told = told(csv.as_bytes());
        assert!(told[0].starts_with("2! the row has 3 cells and the header 2"), "{told:?}");
        assert!(told[1].starts_with("3! the row has 1 cells"), "{told:?}");
        assert!(told[2].starts_with("4! a quotation mark opens"), "{told:?}");
        assert_eq!(told[3..], [r#"5 {"a":"6","b":"7"}"#, r#"6 {"a":"8","b":"9"}"#]);
    }

    #[test]
    fn a_quote_inside_a_cell_is_a_character() {
        assert_eq!(told(b"a,b\n5\" pipe,x\n1,2\n"), [r#"2 {"a":"5\" pipe","b":"x"}"#, r#"3 {"a":"1","b":"2"}"#]);
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_a_fault_of_its_row() {
        let told = told(b"a,b\n\xfc,1\n2,3\n");
        assert!(told[0].starts_with("2! byte 1 (0xFC) is not UTF-8"), "{told:?}");
        assert_eq!(told[1], r#"3 {"a":"2","b":"3"}"#);
    }

    #[test]
    fn a_header_that_is_not_clear_ends_the_reading() {
        for (csv, says) in [
            ("a,b;c\n", "--delimiter"),
            ("a,a\n", "\"a\" twice"),
            ("\"a,b\n", "none closes it"),
            ("ann@x.example,Ann\n", "name the columns in front"),
        ] {
            let lines = all(csv.as_bytes());
            let said = lines[0].as_ref().expect_err("refused").to_string();
            assert!(said.contains(says) && lines.len() == 1, "{csv}: {said}");
        }
        for nothing in ["", "\n", ";;;\n", "sep=;\n;;\n"] {
            assert!(all(nothing.as_bytes()).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_column_without_a_name_must_be_empty() {
        let told = told(b"a;b;\n1;2;\n1;2;3\n");
        assert_eq!(told[0], r#"2 {"a":"1","b":"2"}"#);
        assert!(told[1].contains("cell 3 holds \"3\""), "{told:?}");
    }
}
