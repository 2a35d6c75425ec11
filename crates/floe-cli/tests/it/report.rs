//! Reports as scripts read them: of every one that a test takes, each key stands in `docs/json.md`, for that command and
//! as a value of that kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const PAGE: &str = include_str!("../../../../docs/json.md");

/// Reads the report of a command.
pub(crate) fn report(command: &str, stdout: &[u8]) -> Value {
    let report = serde_json::from_slice(stdout).unwrap();
    let (keys, kinds) = (keys(command), kinds());
    let mut unknown = Vec::new();
    each_key(&report, &mut |key, value| {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "table",
        };
        let is_told = kinds.get(key).is_some_and(|kinds| kinds.contains(kind));
        if !(keys.contains(key) && is_told) {
            unknown.push(format!("`{key}`, {kind}"));
        }
    });
    assert!(unknown.is_empty(), "docs/json.md does not tell of these of `floe {command}`: {unknown:?}");
    report
}

/// Calls back for every key of a report; those of `labels` are the user's.
fn each_key(value: &Value, called: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                called(key, value);
                if key != "labels" {
                    each_key(value, called);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| each_key(value, called)),
        _ => {}
    }
}

/// The rows of the page's tables that have so many columns, by what stands first.
fn rows(columns: usize) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    PAGE.lines().filter_map(move |line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let first = cells.next()?;
        let rest: Vec<_> = cells.collect();
        (rest.len() + 1 == columns && first.contains('`')).then_some((first, rest))
    })
}

fn quoted(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

/// The keys of reports of a command, whatever its operands.
fn keys(command: &str) -> BTreeSet<&'static str> {
    let of = |first: &'static str| quoted(first).any(|named| named.split(' ').next() == Some(command));
    let every = |first: &str| first.starts_with("all but") && command != "config";
    let rows = rows(2).filter(|(first, _)| every(first) || !first.starts_with("all but") && of(first));
    rows.flat_map(|(_, rest)| quoted(rest[0])).collect()
}

/// The kinds of values that keys have.
fn kinds() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let kinds =
        |text: &'static str| text.split([',', ' ']).filter(|word| !["", "or"].contains(word)).collect();
    rows(3).map(|(first, rest)| (quoted(first).next().unwrap(), kinds(rest[0]))).collect()
}

#[test]
fn a_key_has_one_meaning() {
    let keys: Vec<_> = rows(3).map(|(first, _)| first).collect();
    let once: BTreeSet<_> = keys.iter().collect();
    assert_eq!(keys.len(), once.len(), "a key stands twice");
    let used: BTreeSet<_> = rows(2).flat_map(|(_, rest)| quoted(rest[0])).collect();
    assert_eq!(used, kinds().into_keys().collect(), "keys of reports, and keys with a meaning");
    for (key, kinds) in kinds() {
        let is_number = ["_count", "_bytes", "_seconds"].iter().any(|end| key.ends_with(end));
        assert!(!is_number || kinds == BTreeSet::from(["number"]), "`{key}`: {kinds:?}");
    }
}
