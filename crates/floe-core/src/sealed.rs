//! JSON objects with a sum of themselves in the first line (`docs/format.md` §10).

use bytes::Bytes;
use floe_format::Sum128;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::store::{Key, PutMode, Settled, Store, Version, put_settled};
use crate::{Error, ErrorKind, Result};

/// The most bytes of a sealed object other than `gc/state`.
pub(crate) const MAX_SEALED_BYTES: u64 = 1 << 20;

/// The most that is counted: what every reader of JSON has exactly.
pub(crate) const MAX_COUNT: u64 = (1 << 53) - 1;

const OPENING: &str = "{\"sum\":\"";
const CLOSING: &str = "\",\n";
const FIRST_LINE_BYTES: usize = OPENING.len() + 2 * Sum128::LEN + CLOSING.len();

/// The bytes of an object, which must be one with at least one field.
pub(crate) fn seal<T: Serialize>(value: &T) -> Result<Bytes> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "a record cannot be written as JSON").with_source(e))?;
    let fields = json
        .strip_prefix("{\n")
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a record is not an object"))?;
    let fields = format!("{fields}\n");
    let sum = Sum128::of(fields.as_bytes());
    Ok(Bytes::from(format!("{OPENING}{sum}{CLOSING}{fields}")))
}

/// The object that these bytes of `object` seal.
///
/// # Errors
/// `Corrupt` where the sum is not that of the bytes, or the fields are not those of a `T`; `Unsupported` for
/// another `format` than 1.
pub(crate) fn unseal<T: DeserializeOwned>(object: &str, bytes: &[u8]) -> Result<T> {
    let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, format!("`{object}` {what}"));
    let (first, fields) =
        bytes.split_at_checked(FIRST_LINE_BYTES).ok_or_else(|| corrupt("is too short to be whole"))?;
    let sum = first
        .strip_prefix(OPENING.as_bytes())
        .and_then(|rest| rest.strip_suffix(CLOSING.as_bytes()))
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .and_then(|hex| Sum128::from_hex(hex).ok())
        .ok_or_else(|| corrupt("does not begin with its sum"))?;
    if sum != Sum128::of(fields) {
        return Err(corrupt("is damaged: its sum is not that of its bytes"));
    }
    // What is passed over in parsing is not looked at so closely.
    let fields = std::str::from_utf8(fields).map_err(|e| corrupt("is not UTF-8").with_source(e))?;
    let json = format!("{{{fields}");

    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u64,
    }
    let versioned: Versioned =
        serde_json::from_str(&json).map_err(|e| corrupt("has no format version").with_source(e))?;
    if versioned.format != 1 {
        let message = format!("`{object}` is of format {}, and this version knows only 1", versioned.format);
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    serde_json::from_str(&json).map_err(|e| corrupt("does not have the fields it should").with_source(e))
}

/// Writes a sealed object under a condition, and tells a won race from a lost one even where the answer was lost.
///
/// # Errors
/// `Conflict` where the object is not as the condition says, nor as this write would have left it; `Invalid` for one
/// too long to be read.
pub(crate) async fn put_sealed<T: Serialize>(
    store: &dyn Store,
    key: &Key,
    value: &T,
    mode: PutMode,
) -> Result<Version> {
    let body = seal(value)?;
    if body.len() as u64 > MAX_SEALED_BYTES {
        let message = format!("`{key}` would have {} bytes, more than it may", body.len());
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    // Equal bytes have an equal token, which only this write has.
    let mine = body.clone();
    match put_settled(store, key, body, mode, MAX_SEALED_BYTES, move |found| found == mine).await? {
        Settled::Won(version) => Ok(version),
        Settled::Lost(_) => {
            Err(Error::new(ErrorKind::Conflict, format!("`{key}` was changed by somebody else")))
        }
    }
}

/// Reads what counts up, and has room to go on in a `u64`.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number <= MAX_COUNT {
        return Ok(number);
    }
    Err(serde::de::Error::custom(format_args!("{number} is more than is ever counted")))
}

/// Serde of a value through its `Display` and `FromStr`.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }

    /// The same for what may be absent.
    pub(crate) mod option {
        use super::{Deserialize, Deserializer, Display, FromStr, Serializer, de};

        pub(crate) fn serialize<T: Display, S: Serializer>(
            value: &Option<T>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(value),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'de>,
        {
            Option::<String>::deserialize(deserializer)?
                .map(|text| text.parse().map_err(de::Error::custom))
                .transpose()
        }
    }
}

/// Serde of a set through its elements' `Display` and `FromStr`.
pub(crate) mod as_text_set {
    use std::collections::BTreeSet;
    use std::fmt::Display;
    use std::marker::PhantomData;
    use std::str::FromStr;

    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serializer};

    use super::as_text;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        set: &BTreeSet<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(set.iter().map(T::to_string))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
    where
        T: FromStr<Err: Display> + Ord,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_seq(Elements(PhantomData))
    }

    /// One element after another, so that a long list's texts are never all in memory.
    struct Elements<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: Display> + Ord> Visitor<'de> for Elements<T> {
        type Value = BTreeSet<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            #[derive(Deserialize)]
            #[serde(transparent, bound = "T: FromStr<Err: Display>")]
            struct Element<T>(#[serde(with = "as_text")] T);

            let mut set = BTreeSet::new();
            while let Some(Element(element)) = list.next_element::<Element<T>>()? {
                set.insert(element);
            }
            Ok(set)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Record {
        format: u32,
        name: String,
        #[serde(flatten)]
        extra: serde_json::Map<String, serde_json::Value>,
    }

    fn record() -> Record {
        Record { format: 1, name: "näme".into(), extra: serde_json::Map::new() }
    }

    #[test]
    fn a_sealed_record_is_json_and_comes_back() {
        let bytes = seal(&record()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["name"], "näme");
        assert_eq!(unseal::<Record>("it", &bytes).unwrap(), record());
    }

    #[test]
    fn unknown_fields_are_kept() {
        let mut newer = record();
        newer.extra.insert("later".into(), 7.into());
        // A number that is another one if it is not read to the last bit.
        newer.extra.insert("much later".into(), 23.308_445_025_757_262.into());
        let read: Record = unseal("it", &seal(&newer).unwrap()).unwrap();
        assert_eq!(seal(&read).unwrap(), seal(&newer).unwrap());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let bytes = seal(&record()).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 1 << bit;
                let error = unseal::<Record>("it", &damaged).expect_err("a damaged object was believed");
                assert_eq!(error.kind(), ErrorKind::Corrupt);
            }
            assert!(unseal::<Record>("it", &bytes[..at]).is_err());
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused_wherever_it_stands() {
        #[derive(Serialize, Deserialize, Debug)]
        struct Outer {
            format: u32,
            inner: Inner,
        }
        #[derive(Serialize, Deserialize, Debug)]
        struct Inner {}
        let sealed = |text: &[u8]| {
            let fields = [&b"  \"format\": 1, \"inner\": {\"other\": \""[..], text, b"\"}\n}\n"].concat();
            [format!("{OPENING}{}{CLOSING}", Sum128::of(&fields)).as_bytes(), &fields].concat()
        };
        unseal::<Outer>("it", &sealed(b"text")).unwrap();
        assert_eq!(unseal::<Outer>("it", &sealed(b"\xff")).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn another_format_is_refused() {
        let error = unseal::<Record>("it", &seal(&Record { format: 2, ..record() }).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
