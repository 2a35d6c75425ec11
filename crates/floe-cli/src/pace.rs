//! How fast something goes, by what it did lately.
//!
//! Uploads move in steps, of a part or of several that go out side by side, and nothing tells of what goes on between two
//! of them. So a rate is that from one step to a later one, never to a moment between.

use std::collections::VecDeque;
use std::time::Duration;

/// What lies further back says nothing of the rate now.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Unless there are fewer steps than these.
const FEWEST: usize = 4;

/// What moves before this goes into buffers, faster than all that follows.
const BUFFERS_FILL: Duration = Duration::from_secs(1);

/// A shorter time is not enough to tell a rate by.
const SHORTEST: Duration = Duration::from_millis(500);

/// About how many moments are kept.
const MOMENTS: u32 = 64;

/// The last moments in which something moved on, and how far it was then.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// What moves by less than this since the last moment is not noted.
    step_bytes: u64,
    began: Duration,
    now: Duration,
    moments: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// The pace of what moves in parts of so many bytes: what else moves is far less, and takes no time.
    pub(crate) fn in_parts_of(bytes: u64) -> Self {
        Self { step_bytes: bytes / 2, ..Self::default() }
    }

    /// Notes how far it is at a moment, counted from any beginning. What goes back far begins anew, what goes back a
    /// little was estimated too high and stands still.
    pub(crate) fn note(&mut self, at: Duration, bytes: u64) {
        self.now = at;
        let last = self.moments.back().map(|last| last.1).filter(|last| bytes >= last / 2);
        match last {
            None => self.began = at,
            Some(last) if bytes < last + self.step_bytes.max(1) => return,
            Some(_) => {}
        }
        if at < self.began + BUFFERS_FILL {
            self.moments.clear();
        }
        // Two moments with room for one between them need none between them.
        let last_but_one = self.moments.len().checked_sub(2).and_then(|index| self.moments.get(index));
        if last_but_one.is_some_and(|former| at < former.0 + REMEMBERED / MOMENTS) {
            self.moments.pop_back();
        }
        self.moments.push_back((at, bytes));
        while self.moments.len() > FEWEST && self.moments[1].0 + REMEMBERED < at {
            self.moments.pop_front();
        }
    }

    /// Bytes a second; none as long as nothing is known, or nothing moves.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        let (bytes, time) = self.lately()?;
        u64::try_from(u128::from(bytes) * 1_000_000_000 / time.as_nanos()).ok()
    }

    /// How long it takes from now to so many bytes, at this pace; none where nobody can say.
    pub(crate) fn left(&self, total_bytes: u64) -> Option<Duration> {
        let last = self.moments.back()?;
        let left_bytes = total_bytes.checked_sub(last.1).filter(|bytes| *bytes > 0)?;
        let (bytes, time) = self.lately()?;
        let nanos = u128::from(left_bytes).checked_mul(time.as_nanos())? / u128::from(bytes);
        let left = u64::try_from(nanos).ok().map(Duration::from_nanos)?;
        Some(left.saturating_sub(self.now - last.0))
    }

    /// How many bytes were moved in what time, neither of them nothing.
    fn lately(&self) -> Option<(u64, Duration)> {
        let (first, last) = (self.moments.front()?, self.moments.back()?);
        let bytes = last.1.checked_sub(first.1).filter(|bytes| *bytes > 0)?;
        let steps = self.moments.iter().zip(self.moments.iter().skip(1));
        let longest = steps.map(|(one, next)| next.0 - one.0).max()?;
        // A step that is late, and not by chance, is slower than those before, whatever it will be.
        let end = if self.now > last.0 + 2 * longest { self.now } else { last.0 };
        let time = end.checked_sub(first.0).filter(|time| *time >= SHORTEST)?;
        Some((bytes, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;

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

    /// Parts of 8 MiB that are confirmed at these moments, looked at ten times a second; what is told then of the rate and
    /// of how long 80 MiB take.
    fn told_of_parts(moments: &[Duration]) -> Vec<(Duration, u64, Duration)> {
        let mut pace = Pace::in_parts_of(8 * MIB);
        let mut told = Vec::new();
        let end = *moments.last().unwrap();
        for tenths in (0..).take_while(|tenths| SECOND / 10 * *tenths <= end) {
            let at = SECOND / 10 * tenths;
            // Some requests are of a few hundred bytes.
            let small = if tenths > 12 { 300 } else { 0 };
            let parts = moments.iter().filter(|moment| **moment <= at).count() as u64;
            pace.note(at, small + parts * 8 * MIB);
            if let Some(rate) = pace.bytes_per_second() {
                told.push((at, rate, pace.left(10 * 8 * MIB).unwrap_or_default()));
            }
        }
        told
    }

    #[test]
    fn parts_that_follow_each_other_have_their_rate() {
        // 10 MiB a second, but for the first, which nothing was sent before.
        let moments: Vec<_> = (0..10).map(|part| Duration::from_millis(150 + 800 * part)).collect();
        let told = told_of_parts(&moments);
        assert!(told[0].0 <= 2 * SECOND, "{:?}", told[0]);
        for (at, rate, left) in told {
            assert!((9 * MIB..=11 * MIB).contains(&rate), "{at:?}: {rate}");
            let true_left = *moments.last().unwrap() - at;
            assert!(left.abs_diff(true_left) <= SECOND, "{at:?}: {left:?}, not {true_left:?}");
        }
    }

    #[test]
    fn parts_that_go_side_by_side_have_their_rate() {
        // Three share 1 MiB a second, and are there at about the same time.
        let moments: Vec<_> =
            (0..9).map(|part| Duration::from_millis(24_010 * (part / 3 + 1) + part % 3 * 20)).collect();
        let told = told_of_parts(&moments);
        assert!(!told.is_empty());
        for (at, rate, _) in told {
            assert!((MIB * 9 / 10..=MIB * 11 / 10).contains(&rate), "{at:?}: {rate}");
        }
    }

    #[test]
    fn what_comes_no_more_slows_down() {
        let mut pace = pace(&[(0, 0), (10, 100), (20, 200), (30, 300)]);
        pace.note(4 * SECOND, 300);
        assert_eq!((pace.bytes_per_second(), pace.left(400)), (Some(100), Some(Duration::ZERO)));
        pace.note(30 * SECOND, 300);
        assert_eq!(pace.bytes_per_second(), Some(10));
    }
}
