//! Names that people give: of namespaces and of refs, and how a snapshot is referred to.

use std::fmt;
use std::str::FromStr;

use floe_format::SnapshotId;

use crate::{Error, ErrorKind, Result};

/// The longest name of a namespace.
const MAX_NAMESPACE_BYTES: usize = 100;

/// The longest name of a ref.
const MAX_REF_BYTES: usize = 200;

/// The fewest digits of a snapshot id that stand for it.
pub(crate) const MIN_ID_DIGITS: usize = 12;

/// Fewer hexadecimal digits than these are rather a word or a number.
const MIN_DIGITS_LIKE_AN_ID: usize = 6;

/// The name of a namespace: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 100 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceName(String);

impl NamespaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NamespaceName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for NamespaceName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.len() <= MAX_NAMESPACE_BYTES && is_plain(name) {
            return Ok(Self(name.into()));
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "{name:?} cannot name a namespace: letters, digits, `.`, `_` and `-` can, up to \
                 {MAX_NAMESPACE_BYTES}, the first a letter or digit"
            ),
        ))
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a ref: plain parts joined by `/`, at most 200 bytes, and never what could be a snapshot id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody may have meant the id of a snapshot by it, cut too short.
    pub(crate) fn is_like_too_short_an_id(&self) -> bool {
        (MIN_DIGITS_LIKE_AN_ID..MIN_ID_DIGITS).contains(&self.0.len()) && is_hexadecimal(&self.0)
    }

    /// The name as the last part of a key.
    pub(crate) fn to_key_part(&self) -> String {
        self.0.replace('/', "%2F")
    }

    /// The ref that a last part of a key names.
    pub(crate) fn from_key_part(part: &str) -> Result<Self> {
        part.replace("%2F", "/").parse()
    }
}

impl FromStr for RefName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if looks_like_an_id(name) {
            let message = format!("{name:?} cannot name a ref: it could be a snapshot id");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if name.len() <= MAX_REF_BYTES && name.split('/').all(is_plain) {
            return Ok(Self(name.into()));
        }
        // As a shell completes the name of a directory.
        let whole = name.trim_end_matches('/');
        if whole != name && whole.split('/').all(is_plain) {
            let message = format!("{name:?} cannot name a ref: it ends in `/`; `{whole}` can");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        // A generation of a ref or a path in it, where only a ref can be meant.
        if let Some(end) = name.find(['@', ':'])
            && name[..end].split('/').all(is_plain)
        {
            let (whole, rest) = name.split_at(end);
            let message =
                format!("{name:?} cannot name a ref: only `{whole}`, without `{rest}`, can be named here");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "{name:?} cannot name a ref: parts of letters, digits, `.`, `_` and `-`, joined by `/`, can, up to \
                 {MAX_REF_BYTES} bytes, the first of each part a letter or digit"
            ),
        ))
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a person refers to a snapshot: `name`, `name@GENERATION`, or a snapshot id or a unique prefix of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// What a ref names now.
    Ref(RefName),
    /// What a ref named at a generation.
    Generation(RefName, u64),
    /// The snapshot whose id begins with these 12 to 64 hexadecimal digits.
    Id(String),
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if looks_like_an_id(text) {
            return Ok(Self::Id(text.to_ascii_lowercase()));
        }
        let Some((name, generation)) = text.split_once('@') else { return Ok(Self::Ref(text.parse()?)) };
        let generation = generation.parse().map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("{generation:?} in {text:?} is not a generation"))
                .with_source(e)
        })?;
        Ok(Self::Generation(name.parse()?, generation))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref(name) => write!(f, "{name}"),
            Self::Generation(name, generation) => write!(f, "{name}@{generation}"),
            Self::Id(digits) => f.write_str(digits),
        }
    }
}

fn is_plain(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn looks_like_an_id(name: &str) -> bool {
    (MIN_ID_DIGITS..=2 * SnapshotId::LEN).contains(&name.len()) && is_hexadecimal(name)
}

fn is_hexadecimal(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_plain_parts() {
        for good in ["a", "main", "release/1.2", "deadbeef", "a_b-c.d", &"x".repeat(200), "0123456789ag"] {
            let name: RefName = good.parse().unwrap();
            assert_eq!(RefName::from_key_part(&name.to_key_part()).unwrap(), name);
        }
        for bad in [
            "",
            "/",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "-a",
            "a b",
            "ä",
            "a@1",
            "a%2Fb",
            "0123456789ab",
            &"x".repeat(201),
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_more_than_a_ref_is_told_from_what_is_none() {
        let told = |name: &str| name.parse::<RefName>().unwrap_err().to_string();
        assert!(told("a/b@1").contains("only `a/b`, without `@1`"), "{}", told("a/b@1"));
        assert!(told("a:src/x").contains("only `a`, without `:src/x`"), "{}", told("a:src/x"));
        for none in ["@1", ":a", "a b@1", "a//b:c"] {
            assert!(told(none).contains("parts of letters"), "{}", told(none));
        }
    }

    #[test]
    fn names_that_may_be_meant_as_ids_are_known() {
        for name in ["1a2b3c", "1A2B3C4D5E6", "facade"] {
            assert!(name.parse::<RefName>().unwrap().is_like_too_short_an_id(), "{name}");
        }
        for name in ["1a2b3", "main", "1a2b3c4d5eg", "1a2b3c/4d5e6"] {
            assert!(!name.parse::<RefName>().unwrap().is_like_too_short_an_id(), "{name}");
        }
    }

    #[test]
    fn references_tell_names_from_ids() {
        assert!(matches!("main".parse().unwrap(), Reference::Ref(_)));
        assert!(matches!("main@3".parse().unwrap(), Reference::Generation(_, 3)));
        assert!(matches!("0123456789abcdef".parse().unwrap(), Reference::Id(_)));
        assert_eq!("0123456789ABCDEF".parse::<Reference>().unwrap().to_string(), "0123456789abcdef");
        for bad in ["main@", "main@x", "@1", "a@1@2", ""] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }
}
