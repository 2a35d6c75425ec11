//! What the fuzz targets found once.

use floe_format::{PackId, Sum128};

use super::*;
use crate::ErrorKind;

macro_rules! seed {
    ($name:literal) => {
        include_bytes!(concat!("../../../../fuzz/seeds/", $name))
    };
}

/// A sealed object with these fields and the right sum.
fn sealed(seed: &[u8]) -> Vec<u8> {
    let after_sum = seed.strip_prefix(b"{\"sum\":\"").and_then(|rest| rest.splitn(2, |&b| b == b'\n').nth(1));
    let fields = after_sum.unwrap_or(seed);
    [format!("{{\"sum\":\"{}\",\n", Sum128::of(fields)).as_bytes(), fields].concat()
}

#[test]
fn parameters_that_cut_nothing_are_refused() {
    let bytes = sealed(seed!("sealed_json/found-cut-as-none-can"));
    assert_eq!(rewritten_format(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn what_is_not_utf8_is_refused() {
    let bytes = sealed(seed!("sealed_json/found-not-utf8"));
    for refused in [
        rewritten_format(&bytes).unwrap_err(),
        rewritten_collector_state(&bytes).unwrap_err(),
        rewritten_ref(&bytes).map(drop).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    }
}

#[test]
fn a_generation_that_none_could_follow_is_refused() {
    let bytes = sealed(seed!("sealed_json/found-last-generation"));
    assert_eq!(rewritten_ref(&bytes).map(drop).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_torn_line_of_a_journal_costs_nothing_but_itself() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::new(directory.path(), &"main".parse().unwrap());
    let added = PackId::from_bytes([7; 16]);
    journal.add(&added);
    let path = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let seed = seed!("push_journal/found-torn");
    std::fs::write(path, seed).unwrap();
    let ids = seed.split(|&b| b == b'\n').filter_map(|line| str::from_utf8(line).ok()?.parse().ok());
    let packs: Vec<PackId> = ids.chain([added]).collect();
    journal.add(&added);
    assert_eq!(journal.packs(), packs);
}
