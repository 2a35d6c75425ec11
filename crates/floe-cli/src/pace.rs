//! How fast something goes, by what it did lately.

use std::collections::VecDeque;
use std::time::Duration;

/// What lies further back says nothing of the rate now. Long enough for several parts of an upload over a slow line.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Before this, what was seen is not enough to tell a rate by.
const SHORTEST: Duration = Duration::from_millis(500);

/// About how many moments are kept.
const MOMENTS: u32 = 64;

/// The last moments of something that goes on, and how far it was then.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    moments: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// Notes how far it is at a moment, counted from any beginning. What goes back far begins anew, what goes back a
    /// little was estimated too high and stands still.
    pub(crate) fn note(&mut self, at: Duration, bytes: u64) {
        let last = self.moments.back().map_or(0, |last| last.1);
        if bytes < last / 2 {
            self.moments.clear();
        }
        let bytes = if bytes < last / 2 { bytes } else { bytes.max(last) };
        // Two moments with room for one between them need none between them.
        let last_but_one = self.moments.len().checked_sub(2).and_then(|index| self.moments.get(index));
        if last_but_one.is_some_and(|former| at < former.0 + REMEMBERED / MOMENTS) {
            self.moments.pop_back();
        }
        self.moments.push_back((at, bytes));
        while self.moments.len() > 2 && self.moments[1].0 + REMEMBERED < at {
            self.moments.pop_front();
        }
    }

    /// Bytes a second; none as long as nothing is known, or nothing moves.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        let (bytes, time) = self.lately()?;
        u64::try_from(u128::from(bytes) * 1_000_000_000 / time.as_nanos()).ok()
    }

    /// How long it takes from the last moment to so many bytes, at this pace; none where nobody can say.
    pub(crate) fn left(&self, total_bytes: u64) -> Option<Duration> {
        let left_bytes = total_bytes.checked_sub(self.moments.back()?.1).filter(|bytes| *bytes > 0)?;
        let (bytes, time) = self.lately()?;
        let nanos = u128::from(left_bytes).checked_mul(time.as_nanos())? / u128::from(bytes);
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }

    /// How many bytes were moved in what time, neither of them nothing.
    fn lately(&self) -> Option<(u64, Duration)> {
        let (first, last) = (self.moments.front()?, self.moments.back()?);
        let time = last.0.checked_sub(first.0).filter(|time| *time >= SHORTEST)?;
        let bytes = last.1.checked_sub(first.1).filter(|bytes| *bytes > 0)?;
        Some((bytes, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(moments: &[(u32, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (tenths, bytes) in moments {
            pace.note(SECOND / 10 * *tenths, *bytes);
        }
        pace
    }

    #[test]
    fn nothing_is_told_before_it_is_known() {
        for moments in [&[][..], &[(0, 0)], &[(0, 0), (4, 100)], &[(0, 100), (50, 100)]] {
            let pace = pace(moments);
            assert_eq!((pace.bytes_per_second(), pace.left(200)), (None, None), "{moments:?}");
        }
        let pace = pace(&[(0, 0), (10, 100)]);
        assert_eq!(pace.bytes_per_second(), Some(100));
        assert_eq!(pace.left(300), Some(2 * SECOND));
        // Whatever is left then is not counted in bytes.
        assert_eq!((pace.left(100), pace.left(50)), (None, None));
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut all: Vec<_> = (0..=100).map(|tenths| (tenths, u64::from(tenths) * 1_000)).collect();
        all.extend((101..=1_000).map(|tenths| (tenths, 100_000 + u64::from(tenths - 100))));
        let slow = pace(&all);
        let rate = slow.bytes_per_second().unwrap();
        assert!((9..=11).contains(&rate), "{rate}");
        assert!(slow.moments.len() <= 2 * MOMENTS as usize, "{}", slow.moments.len());
        assert_eq!(pace(&[(0, 500), (10, 900), (20, 0), (30, 100)]).bytes_per_second(), Some(100));
    }
}
