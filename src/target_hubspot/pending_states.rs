//! STATEs that are not written yet, each behind the records that it covers.

use serde_json::value::RawValue;

/// STATEs that are kept at most; of more only every second one is.
const MAX_STATES: usize = 64;

/// STATE messages in the order of the input.
#[derive(Debug, Default)]
pub(super) struct PendingStates(Vec<(u64, Box<RawValue>)>);

impl PendingStates {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the STATE of a line.
    pub(super) fn push(&mut self, line: u64, state: Box<RawValue>) {
        if self.0.len() >= MAX_STATES {
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.0.push((line, state));
    }

    /// Takes out the STATEs before a line, the first one whose record is not written, and gives the last of them.
    pub(super) fn take_covered(&mut self, first_open: u64) -> Option<Box<RawValue>> {
        let covered = self.0.partition_point(|(line, _)| *line < first_open);
        self.0.drain(..covered).next_back().map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(lines: impl Iterator<Item = u64>) -> PendingStates {
        let mut states = PendingStates::default();
        for line in lines {
            states.push(line, RawValue::from_string(line.to_string()).expect("JSON"));
        }
        states
    }

    #[test]
    fn the_last_state_before_an_open_record_is_taken_and_those_before_it_are_forgotten() {
        let mut states = states([3, 7, 9].into_iter());
        let mut taken = |first_open| states.take_covered(first_open).map(|state| state.get().to_owned());
        assert_eq!(taken(3), None);
        assert_eq!(taken(8).as_deref(), Some("7"));
        assert_eq!(taken(8), None);
        assert_eq!(taken(u64::MAX).as_deref(), Some("9"));
        assert!(states.is_empty());
    }

    #[test]
    fn of_many_states_the_latest_is_always_kept() {
        for count in [1, 64, 65, 1000] {
            let mut states = states(1..=count);
            assert!(states.0.len() <= MAX_STATES);
            assert_eq!(states.take_covered(u64::MAX).expect("a state").get(), count.to_string());
        }
    }
}
