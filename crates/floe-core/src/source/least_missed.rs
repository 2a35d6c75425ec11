//! Which open directory to close where only so many may be open.

/// The place of the one that is missed least of those open on a way down, of which these are the depths, each more than
/// or the same as the one before; the last one stays open.
///
/// Who walked down comes up again step by step, and opens from the nearest one above what is not open any more. So the
/// gaps between those that are open grow with the distance from the last: of a way of thousands of steps, with eight open
/// ten are opened again for each step up, at most (counted up to 16,000); closing the topmost, an eighth of the way
/// would be.
pub(super) fn least_missed(count: usize, depth: impl Fn(usize) -> usize) -> usize {
    let last = depth(count - 1);
    // The gap that would be, and how far from the last it ends.
    let missed = |place: usize| {
        let above = if place > 0 { depth(place - 1) } else { 0 };
        (depth(place + 1) - above, last + 1 - above)
    };
    let less = |a: &usize, b: &usize| {
        let ((gap_a, way_a), (gap_b, way_b)) = (missed(*a), missed(*b));
        (gap_a * way_b).cmp(&(gap_b * way_a))
    };
    (0..count - 1).min_by(less).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_up_a_long_way_opens_few_again() {
        for (most, depth, few) in [(8, 7, 0), (8, 1000, 6), (8, 16_000, 11), (64, 63, 0), (64, 10_000, 4)] {
            let (mut open, mut opened) = (Vec::new(), 0);
            for wanted in (1..=depth).chain((1..depth).rev()) {
                while open.last().is_some_and(|open| *open > wanted) {
                    open.pop();
                }
                for next in open.last().map_or(1, |open| open + 1)..=wanted {
                    opened += 1;
                    open.push(next);
                    if open.len() > most {
                        open.remove(least_missed(open.len(), |place| open[place]));
                    }
                }
            }
            assert!(opened <= depth * (1 + few), "{opened} for {depth} with {most}");
        }
    }
}
