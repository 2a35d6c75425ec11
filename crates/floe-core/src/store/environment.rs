//! Environment variables, handed in by whoever may read them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment variables that say where stores are and how to get in.
///
/// Its `Debug` shows names only; values may be secrets.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set to `1`, `true`, `yes` or `on`.
    pub fn is_on(&self, name: &str) -> bool {
        let means_yes =
            |value: &str| ["1", "true", "yes", "on"].iter().any(|on| value.eq_ignore_ascii_case(on));
        self.get(name).is_some_and(means_yes)
    }

    /// The same without these variables.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let mut variables = self.variables.clone();
        variables.retain(|name, _| !names.contains(&name.as_str()));
        Self { variables }
    }

    /// Sets a variable.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A file named by a variable, or at this path below the home directory.
    pub(super) fn file(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.get(name).map(PathBuf::from);
        named.or_else(|| self.get("HOME").map(|home| Path::new(home).join(below_home)))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
