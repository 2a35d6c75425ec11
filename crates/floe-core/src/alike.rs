//! Names that look like one that is not there.

/// How many names are told.
const TOLD: usize = 3;

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
        let most = (asked.len() / 2).min(2).max(asked.len() / 4);
        if !is_part && asked.len().abs_diff(there.len()) > most {
            return;
        }
        let distance = edit_distance(asked, there);
        if is_part || distance <= most {
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

/// Levenshtein's distance in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, distance) in
            [("", "", 0), ("main", "mian", 2), ("main", "main", 0), ("a", "", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(edit_distance(a, b), distance);
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
