//! Reading and listing.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use floe_core::ErrorKind;
use floe_core::store::KeyPrefix;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Subject, assert_kind};
use crate::{bytes_of, interesting_sizes};

pub(super) async fn whole_and_ranges(subject: &Subject, also_at_the_end: bool) {
    for size in interesting_sizes(4096).into_iter().chain([1 << 20]) {
        let key = subject.key(&format!("reading/{size}"));
        let body = bytes_of(size as u64, size);
        let length = size as u64;
        let version = subject.create(&key, body.clone()).await.unwrap();

        let (read, read_version) = subject.store.get(&key, length).await.unwrap();
        assert_eq!((&read, &read_version), (&body, &version), "{size} bytes");
        assert_eq!(subject.store.head(&key).await.unwrap(), Some(length));
        if let Some(less) = length.checked_sub(1) {
            assert_kind(subject.store.get(&key, less).await, ErrorKind::Corrupt);
        }

        for range in
            [0..0, length..length, 0..1, 0..length, length / 2..length, length.saturating_sub(1)..length]
        {
            if range.end <= length {
                let expected = body.slice(range.start as usize..range.end as usize);
                assert_eq!(
                    subject.store.get_range(&key, range.clone()).await.unwrap(),
                    expected,
                    "{range:?}"
                );
            }
        }
        for range in [0..length + 1, length..length + 1, length + 5..length + 9, length / 2..length + 4096] {
            if also_at_the_end || range.start != length {
                assert_kind(subject.store.get_range(&key, range).await, ErrorKind::Corrupt);
            }
        }
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let reversed = 1..0;
        assert_kind(subject.store.get_range(&key, reversed).await, ErrorKind::Invalid);
    }
}

pub(super) async fn absent(subject: &Subject, also_directory: bool) {
    let inside = subject.key("absent/inside");
    subject.create(&inside, Bytes::from_static(b"x")).await.unwrap();
    // Never written, and one that is a directory where stores have them.
    let directory = also_directory.then(|| subject.key("absent"));
    for key in [subject.key("absent/never")].into_iter().chain(directory) {
        assert_kind(subject.store.get(&key, 10).await, ErrorKind::NotFound);
        assert_kind(subject.store.get_range(&key, 0..1).await, ErrorKind::NotFound);
        assert_eq!(subject.store.head(&key).await.unwrap(), None);
    }
    assert_eq!(subject.names("absent/nothing").await, [""; 0]);
}

pub(super) async fn listing(subject: &Subject) {
    for name in ["a/1", "a/2", "a/10", "ab", "b/c/d", "b%2Fc"] {
        subject.create(&subject.key(&format!("listing/{name}")), name).await.unwrap();
    }
    let of = |names: &[&str]| names.iter().map(|name| format!("listing/{name}")).collect::<Vec<_>>();
    assert_eq!(subject.names("listing/a/").await, of(&["a/1", "a/10", "a/2"]));
    assert_eq!(subject.names("listing/a/1").await, of(&["a/1", "a/10"]));
    assert_eq!(subject.names("listing/a").await, of(&["a/1", "a/10", "a/2", "ab"]));
    assert_eq!(subject.names("listing/b").await, of(&["b%2Fc", "b/c/d"]));
    assert_eq!(subject.names("listing/").await.len(), 6);

    let prefix = KeyPrefix::new(format!("{}/listing/ab", subject.prefix)).unwrap();
    let page = subject.store.list(&prefix, None).await.unwrap();
    let [entry] = &page.entries[..] else { panic!("{page:?}") };
    assert_eq!((entry.size_bytes, page.next.is_none()), (2, true));
    // The store's own clock, which need not be ours; but it is not nonsense.
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(86_400);
    assert!(entry.modified > SystemTime::UNIX_EPOCH && entry.modified < SystemTime::UNIX_EPOCH + age);
}

pub(super) async fn long_listing(subject: &Subject) {
    const MANY: usize = 2_100;
    let made: BTreeSet<String> = (0..MANY).map(|n| format!("many/{:02}/{n:05}", n % 7)).collect();
    stream::iter(&made)
        .map(|name| async move { subject.create(&subject.key(name), Bytes::new()).await })
        .buffer_unordered(16)
        .try_for_each(|_| async { Ok(()) })
        .await
        .unwrap();
    let listed = subject.names("many/").await;
    assert_eq!(listed.len(), MANY, "each once");
    assert!(listed.iter().eq(&made));
}

pub(super) async fn keys(subject: &Subject, longest_segment_bytes: usize) {
    // The longest ref name there can be, percent signs and other letters that stores tend to change.
    let names = [
        format!("{}x", "a%2F".repeat(longest_segment_bytes / 4)),
        "100%25".into(),
        "a~b=c@d-e_f.g".into(),
        "UPPER".into(),
        "upper".into(),
    ];
    for name in &names {
        let key = subject.key(&format!("keys/{name}"));
        subject.create(&key, name.clone()).await.unwrap();
    }
    for name in &names {
        assert_eq!(subject.read(&subject.key(&format!("keys/{name}"))).await, name);
        assert_eq!(subject.names(&format!("keys/{name}")).await, [format!("keys/{name}")]);
    }
    assert_eq!(subject.names("keys/").await.len(), names.len());
    assert_eq!(
        subject.names(&format!("keys/{}", "a%2F".repeat(longest_segment_bytes / 5))).await.len(),
        1,
        "a prefix inside a long name"
    );
}
