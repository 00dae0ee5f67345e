//! Arbitrary answers, hostile ones among them.

use proptest::prelude::*;

use super::value::Sent;
use super::{Record, Scene};
use crate::property::Kind;

pub(super) const KINDS: [Kind; 7] =
    [Kind::String, Kind::Id, Kind::Number, Kind::Decimal, Kind::Boolean, Kind::Date, Kind::DateTime];

/// Values of every type, and those at the edge of them.
pub(super) const NOTABLE: [&str; 46] = [
    "",
    " ",
    "true",
    "FALSE",
    "Yes",
    "no",
    "1",
    "0",
    "-0",
    "007",
    "+5",
    ".5",
    "5.",
    ".",
    "-",
    "12.50",
    "1,234.5",
    " 12 ",
    "1e400",
    "1e307",
    "9.9e307",
    "1E-307",
    "1e-308",
    "0e99999",
    "NaN",
    "Infinity",
    "1_000",
    "0x10",
    "1234567890123456789012345678901234567890",
    "0.20000000000000001110223024625156540423631668",
    "2024-02-29",
    "2023-02-29",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "2025-03-21T00:00:00Z",
    "2025-03-21T15:35:54.252Z",
    "2025-03-21T15:35:54.2529Z",
    "2025-03-21T17:35:54+02:00",
    "2025-03-21 15:35:54",
    "2016-12-31T23:59:60Z",
    "1742569562943",
    "-1742569562943",
    "253402300800000",
    "99999999999999999999",
];

pub(super) fn plain(text: &str) -> Vec<(u16, bool)> {
    text.encode_utf16().map(|unit| (unit, false)).collect()
}

pub(super) fn sent() -> impl Strategy<Value = Sent> {
    let unit = prop_oneof![
        5 => 32_u16..127,
        1 => 0_u16..32,
        1 => Just(u16::from(b'"')),
        1 => Just(u16::from(b'\\')),
        1 => 0xd800_u16..=0xdfff,
        1 => Just(0xd83d_u16),
        1 => Just(0xde00_u16),
        1 => any::<u16>(),
    ];
    let digits = "[-+]?[0-9]{0,25}(\\.[0-9]{0,25})?([eE][-+]?[0-9]{1,4})?";
    let instants =
        "[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:00)?)?";
    prop_oneof![
        1 => Just(Sent::Absent),
        1 => Just(Sent::Null),
        6 => proptest::sample::select(&NOTABLE[..]).prop_map(|text| Sent::Text(plain(text))),
        4 => proptest::collection::vec((unit, any::<bool>()), 0..12).prop_map(Sent::Text),
        3 => digits.prop_map(|text| Sent::Text(plain(&text))),
        3 => instants.prop_map(|text| Sent::Text(plain(&text))),
        2 => any::<i64>().prop_map(|number| Sent::Text(plain(&number.to_string()))),
        1 => proptest::sample::select(&["true", "false", "12.50", "-3", "1e3", "{\"a\":[1,\"b\"]}", "[]", "{}"][..])
            .prop_map(|token| Sent::Token(token.to_owned())),
    ]
}

pub(super) fn record(columns: usize) -> impl Strategy<Value = Record> {
    let ids = || proptest::collection::vec(any::<u64>(), 0..4);
    (
        1_u64..1 << 53,
        [sent(), sent(), sent()],
        proptest::option::of(any::<bool>()),
        proptest::collection::vec(sent(), columns),
        [ids(), ids()],
        [proptest::option::of(any::<u64>()), proptest::option::of(any::<u64>())],
    )
        .prop_map(|(id, [created_at, updated_at, archived_at], archived, values, associated, primaries)| Record {
            id,
            created_at,
            updated_at,
            archived_at,
            archived,
            values,
            associated: associated.to_vec(),
            primaries,
        })
}

pub(super) fn scene() -> impl Strategy<Value = Scene> {
    let name = "[a-zA-Z0-9_ \"\\\\%'é\u{1f600}]{1,8}";
    let columns = proptest::collection::btree_map(name, proptest::sample::select(&KINDS[..]), 0..8);
    (columns, any::<(bool, [bool; 5], [bool; 2], u8)>()).prop_flat_map(|(columns, rest)| {
        let (one_column, flags, with_primaries, turn) = rest;
        let columns: Vec<(String, Kind)> = columns.into_iter().collect();
        proptest::collection::vec(record(columns.len()), 1..4).prop_map(move |records| Scene {
            columns: columns.clone(),
            one_column,
            flags,
            with_primaries,
            records,
            turn: turn.into(),
        })
    })
}
