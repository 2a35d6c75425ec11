use super::*;
use crate::sealed::seal;

const NAMESPACE: NamespaceId = NamespaceId::from_bytes([7; 16]);

fn at(n: u8) -> SnapshotAt {
    SnapshotAt { snapshot: SnapshotId::from_bytes([n; 32]), layout: LayoutId::from_bytes([n; 16]) }
}

/// The record that follows, made by the push with this token.
fn follow(former: Option<&RefRecord>, at: Option<SnapshotAt>, token: u8) -> RefRecord {
    let token = Token::from_bytes([token; 16]);
    let generation = RefRecord::next_generation(former).unwrap();
    RefRecord::following(
        NAMESPACE,
        former,
        generation,
        at,
        Timestamp::UNIX_EPOCH,
        Annotation::default(),
        token,
    )
}

fn read(record: &RefRecord) -> Result<RefRecord> {
    RefRecord::from_bytes("r", &seal(record).unwrap())
}

#[test]
fn generations_go_on_and_history_is_bounded() {
    let mut record = follow(None, Some(at(0)), 1);
    for n in 1..50 {
        record = follow(Some(&record), (n % 5 != 0).then(|| at(n)), n + 1);
    }
    assert_eq!(record.current.generation, 50);
    assert_eq!(record.history.len(), MAX_HISTORY);
    assert_eq!(record.generation(40).unwrap().at(), Some(at(39)));
    assert_eq!(record.generation(41).unwrap().at(), None);
    assert!(record.generation(17).is_none());
    assert_eq!(read(&record).unwrap(), record);
    assert!(record.names(&at(49)) && record.names(&at(17)));
    assert!(!record.names(&at(16)) && !record.names(&at(50)));
}

#[test]
fn i2_every_entry_keeps_the_token_of_its_push() {
    let mut record = follow(None, Some(at(0)), 1);
    for n in 1..20 {
        record = follow(Some(&record), Some(at(n)), n + 1);
        // A fence: the object has another last writer, its entries have not.
        record.token = Token::from_bytes([99; 16]);
        record.fence += 1;
        record = read(&record).unwrap();
    }
    for generation in 1..=20 {
        let token = Token::from_bytes([generation; 16]);
        assert!(record.generation(u64::from(generation)).unwrap().is_by(&token));
        assert!(!record.generation(u64::from(generation)).unwrap().is_by(&record.token));
    }
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let first = follow(None, Some(at(1)), 1);
    let second = follow(Some(&first), Some(at(2)), 2);
    let mut repeated = second.clone();
    repeated.history[0].generation = 2;
    let mut zero = second.clone();
    zero.history[0].generation = 0;
    zero.history[0].removed = true;
    let mut twins = second.clone();
    twins.history[0].token = twins.current.token;
    let mut half = first.clone();
    half.current.layout = None;
    let mut both = first.clone();
    both.current.removed = true;
    let mut unborn = first.clone();
    unborn.current.generation = 0;
    assert!(read(&first).is_ok() && read(&second).is_ok());
    for bad in [repeated, zero, twins, half, both, unborn] {
        assert_eq!(read(&bad).unwrap_err().kind(), ErrorKind::Corrupt, "{bad:?}");
    }
}

#[test]
fn what_counts_up_is_bounded() {
    let second = follow(Some(&follow(None, Some(at(1)), 1)), Some(at(2)), 2);
    let counted = |at: &str, number: u64| {
        let mut json = serde_json::to_value(&second).unwrap();
        *json.pointer_mut(at).unwrap() = number.into();
        RefRecord::from_bytes("r", &seal(&json).unwrap())
    };
    for number in [MAX_COUNT + 1, u64::MAX - 1, u64::MAX] {
        for at in ["/generation", "/fence", "/history/0/generation"] {
            assert_eq!(counted(at, number).unwrap_err().kind(), ErrorKind::Corrupt, "{at} {number}");
        }
    }
    assert!(counted("/fence", MAX_COUNT).is_ok());
    let last = counted("/generation", MAX_COUNT).unwrap();
    assert_eq!(RefRecord::next_generation(Some(&last)), None);
    let before = counted("/generation", MAX_COUNT - 1).unwrap();
    assert_eq!(RefRecord::next_generation(Some(&before)), Some(MAX_COUNT));
    assert_eq!(RefRecord::next_generation(None), Some(1));
}

#[test]
fn entries_without_a_good_token_are_refused() {
    let record = follow(Some(&follow(None, Some(at(1)), 1)), Some(at(2)), 2);
    let json = || serde_json::to_value(&record).unwrap();
    let refused = |json: &serde_json::Value| {
        RefRecord::from_bytes("r", &seal(json).unwrap()).unwrap_err().kind() == ErrorKind::Corrupt
    };
    assert!(RefRecord::from_bytes("r", &seal(&json()).unwrap()).is_ok());
    for bad in [serde_json::Value::Null, 7.into(), "12".into(), "x".repeat(32).into()] {
        let mut current = json();
        current["entry_token"] = bad.clone();
        let mut former = json();
        former["history"][0]["entry_token"] = bad;
        assert!(refused(&current) && refused(&former), "{current}");
    }
}

#[test]
fn a_fence_of_a_ref_that_never_was_is_not_remembered() {
    let mut fence = follow(None, None, 1);
    fence.current.generation = 0;
    fence.fence = 1;
    let fence = read(&fence).unwrap();
    let next = follow(Some(&fence), Some(at(1)), 2);
    assert_eq!((next.current.generation, next.fence, next.history.len()), (1, 1, 0));
    assert_eq!(read(&next).unwrap(), next);
}

#[test]
fn unknown_fields_stay_where_they_were() {
    let mut json = serde_json::to_value(follow(Some(&follow(None, Some(at(1)), 1)), Some(at(2)), 2)).unwrap();
    json["staged"] = "later".into();
    json["history"][0]["later"] = 7.into();
    let record = RefRecord::from_bytes("r", &seal(&json).unwrap()).unwrap();
    let next = serde_json::to_value(follow(Some(&record), Some(at(3)), 3)).unwrap();
    assert_eq!(next["staged"], "later");
    assert_eq!(next["history"][0].get("staged"), None);
    assert_eq!(next["history"][1]["later"], 7);
}

#[test]
fn a_history_too_long_to_be_read_is_cut() {
    let annotation = Annotation { message: Some("\u{1}".repeat(MAX_MESSAGE_BYTES)), ..Annotation::default() };
    annotation.check().unwrap();
    let mut record: Option<RefRecord> = None;
    for n in 0..40 {
        let token = Token::from_bytes([n; 16]);
        let (time, annotation) = (Timestamp::UNIX_EPOCH, annotation.clone());
        let (former, number) = (record.as_ref(), u64::from(n) + 1);
        let mut next = RefRecord::following(NAMESPACE, former, number, Some(at(n)), time, annotation, token);
        let bytes = next.seal_within_limit().unwrap();
        assert!(bytes.len() as u64 <= MAX_SEALED_BYTES);
        assert_eq!(RefRecord::from_bytes("r", &bytes).unwrap(), next);
        record = Some(next);
    }
    let record = record.unwrap();
    assert_eq!((record.current.generation, record.history.len()), (40, 9));
}
