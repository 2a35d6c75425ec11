//! Refs, `gc/state` and `format.json`, with right sums: written again they say the same, also what is not known.
#![no_main]

use floe_core::fuzzing::{rewritten_collector_state, rewritten_format, rewritten_ref};
use floe_core::{Error, ErrorKind};
use floe_format::Sum128;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// Fields that are written in one of several ways, or have parts that nobody keeps.
const TOLD_ANEW: [&str; 13] = [
    "sum",
    "token",
    "entry_token",
    "namespace",
    "snapshot",
    "layout",
    "time",
    "created",
    "condemned",
    "doomed",
    "tree",
    "writers",
    "features",
];

/// Fields that are absent where they say nothing.
const ABSENT: [&str; 7] = ["removed", "snapshot", "layout", "message", "labels", "skipped", "doomed"];

fuzz_target!(|data: &[u8]| {
    let lines =
        data.strip_prefix(b"{\"sum\":\"").and_then(|rest| rest.splitn(2, |&byte| byte == b'\n').nth(1));
    let bytes = sealed(lines.unwrap_or(data));
    if data != bytes {
        // Only right sums are believed.
        for refused in [&bytes[..bytes.len() - 1], data] {
            assert_eq!(rewritten_ref(refused).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(rewritten_collector_state(refused).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(rewritten_format(refused).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
    if let Some(again) = checked(rewritten_collector_state(&bytes)) {
        assert_eq!(rewritten_collector_state(&again).unwrap(), again);
        assert_kept(&bytes, &again);
    }
    if let Some(again) = checked(rewritten_format(&bytes)) {
        assert_eq!(rewritten_format(&again).unwrap(), again);
        assert_kept(&bytes, &again);
    }
    if let Some((again, next)) = checked(rewritten_ref(&bytes)) {
        assert_eq!(rewritten_ref(&again).unwrap().0, again);
        assert_kept(&bytes, &again);
        // One more push makes a ref that can be read, and that knows what this one was.
        let next = match next {
            Ok(next) => next,
            // Only after the last number there is.
            Err(_) => return assert_eq!(object(&again)["generation"], (1_u64 << 53) - 1),
        };
        rewritten_ref(&next).map(drop).unwrap();
        if !is_held(&bytes) {
            return;
        }
        let (before, next) = (object(&bytes), object(&next));
        let is_remembered = before["generation"] != 0;
        if is_remembered {
            assert_eq!(next["history"][0]["generation"], before["generation"]);
        }
    }
});

fn sealed(fields: &[u8]) -> Vec<u8> {
    [format!("{{\"sum\":\"{}\",\n", Sum128::of(fields)).as_bytes(), fields].concat()
}

fn checked<T>(rewritten: Result<T, Error>) -> Option<T> {
    rewritten
        .inspect_err(|e| assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{e:?}"))
        .ok()
}

fn object(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap()
}

/// Whether all of it are values that can be held: what is passed over may be a number larger than any.
fn is_held(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).unwrap();
    serde_json::from_slice::<Value>(bytes).is_ok()
}

fn assert_kept(before: &[u8], after: &[u8]) {
    if !is_held(before) {
        return;
    }
    let (before, after) = (object(before), object(after));
    assert_fields_kept(&before, &after);
    for (before, after) in entries(&before).zip(entries(&after)) {
        assert_fields_kept(before, after);
    }
    assert_eq!(entries(&before).count(), entries(&after).count());
}

/// A ref's former entries. Elsewhere the field is not known, and kept as it is.
fn entries(object: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    object.get("history").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn assert_fields_kept(before: &Map<String, Value>, after: &Map<String, Value>) {
    for (name, value) in before.iter().filter(|(name, _)| *name != "history") {
        match after.get(name) {
            Some(kept) => {
                assert!(TOLD_ANEW.contains(&name.as_str()) || kept == value, "{name}: {value} is {kept}")
            }
            None => assert!(ABSENT.contains(&name.as_str()), "{name} is lost"),
        }
    }
}
