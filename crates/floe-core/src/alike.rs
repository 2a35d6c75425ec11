//! Names that look like one that is not there.

/// How many names are told.
const TOLD: usize = 3;

/// With more edits than these a name is another, however long it is.
const MOST_EDITS: usize = 8;

/// Looks for names like one.
#[derive(Debug)]
pub(crate) struct Alike {
    asked: String,
    /// The nearest, by their distance.
    nearest: Vec<(usize, String)>,
}

impl Alike {
    pub(crate) fn to(asked: &str) -> Self {
        Self { asked: asked.to_lowercase(), nearest: Vec::new() }
    }

    /// Looks at a name that is there.
    pub(crate) fn see(&mut self, name: &str) {
        let there = name.to_lowercase();
        let (asked, there) = (self.asked.as_str(), there.as_str());
        // A name of one letter is a part of most, and near to all that are short.
        let is_part = asked.len().min(there.len()) > 1 && (there.contains(asked) || asked.contains(there));
        let most = (asked.len() / 2).min(2).max((asked.len() / 4).min(MOST_EDITS));
        // From a part to the whole nothing but what is missing is put in.
        let distance = if is_part {
            Some(asked.len().abs_diff(there.len()))
        } else {
            edit_distance(asked.as_bytes(), there.as_bytes(), most)
        };
        if let Some(distance) = distance {
            let at =
                self.nearest.partition_point(|(other, known)| (*other, known.as_str()) < (distance, name));
            self.nearest.insert(at, (distance, name.to_owned()));
            self.nearest.truncate(TOLD);
        }
    }

    /// The nearest of those that were seen, the nearest first.
    pub(crate) fn nearest(self) -> impl Iterator<Item = String> {
        self.nearest.into_iter().map(|(_, name)| name)
    }
}

/// The end of a message that names what is there instead.
pub(crate) fn there_is(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) }
}

/// Levenshtein's distance in bytes, unless it is more than `most`: only what is so near the diagonal is looked at.
fn edit_distance(a: &[u8], b: &[u8], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let far = most + 1;
    let mut row: Vec<usize> = (0..=b.len()).map(|j| j.min(far)).collect();
    for (i, x) in a.iter().enumerate() {
        let (first, end) = ((i + 1).saturating_sub(most), (i + 1 + most).min(b.len()));
        let mut diagonal = row[first.saturating_sub(1)];
        row[first.saturating_sub(1)] = if first <= 1 { (i + 1).min(far) } else { far };
        if first == 0 {
            row[0] = (i + 1).min(far);
        }
        let mut least = row[first.saturating_sub(1)];
        for j in first.max(1)..=end {
            let substituted = diagonal + usize::from(*x != b[j - 1]);
            diagonal = row[j];
            row[j] = substituted.min(diagonal + 1).min(row[j - 1] + 1).min(far);
            least = least.min(row[j]);
        }
        if least == far {
            return None;
        }
    }
    Some(row[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition.
    fn plain_distance(a: &[u8], b: &[u8]) -> usize {
        let ([x, a @ ..], [y, b @ ..]) = (a, b) else { return a.len().max(b.len()) };
        if x == y {
            return plain_distance(a, b);
        }
        let with = |other: &u8, rest: &[u8]| [&[*other], rest].concat();
        1 + plain_distance(a, b).min(plain_distance(a, &with(y, b))).min(plain_distance(&with(x, a), b))
    }

    #[test]
    fn distances() {
        let words =
            ["", "a", "b", "ab", "ba", "main", "mian", "mains", "kitten", "sitting", "abcabc", "cbacba"];
        for a in words {
            for b in words {
                let distance = plain_distance(a.as_bytes(), b.as_bytes());
                for most in 0..8 {
                    let expected = Some(distance).filter(|distance| *distance <= most);
                    assert_eq!(edit_distance(a.as_bytes(), b.as_bytes(), most), expected, "{a}, {b}, {most}");
                }
            }
        }
    }

    #[test]
    fn the_nearest_names_are_told() {
        let nearest = |asked: &str, names: &[&str]| {
            let mut alike = Alike::to(asked);
            names.iter().for_each(|name| alike.see(name));
            alike.nearest().collect::<Vec<_>>()
        };
        assert_eq!(nearest("readme.md", &["src", "README.md", "README", "x"]), ["README.md", "README"]);
        assert_eq!(nearest("mian", &["main", "maine", "other", "a"]), ["main"]);
        assert_eq!(nearest("abc", &["abd", "abe", "abf", "abc.d", "abg"]), ["abd", "abe", "abf"]);
        assert_eq!(nearest("a", &["b", "ab"]), [""; 0]);
    }
}
