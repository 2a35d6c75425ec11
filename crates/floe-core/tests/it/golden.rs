//! The golden store of the formats' first version is read, and written to without losing what it holds.

use std::path::Path;
use std::sync::Arc;

use floe_core::store::LocalStore;
use floe_core::{
    Ambient, Annotation, ErrorKind, Namespace, NamespaceName, RefName, Reference, Snapshot, Tagged,
};
use floe_format::Parameters;
use floe_testkit::copy_tree;

/// A copy of the golden store's namespace.
async fn golden() -> (tempfile::TempDir, Namespace) {
    let directory = tempfile::tempdir().unwrap();
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../floe-format/tests/golden/v1/store");
    copy_tree(store, directory.path().join("store"));
    let store = Arc::new(LocalStore::new(directory.path().join("store")).unwrap());
    let namespace = Namespace::open(store, NamespaceName::default(), Ambient::default()).await.unwrap();
    (directory, namespace)
}

fn name(name: &str) -> RefName {
    name.parse().unwrap()
}

async fn record(namespace: &Namespace, reference: &str) -> floe_core::RefRecord {
    namespace.read_ref(&name(reference)).await.unwrap().unwrap().0
}

#[tokio::test]
async fn the_golden_store_is_read() {
    let (_directory, namespace) = golden().await;
    let parameters = Parameters {
        small_max: 2048,
        chunk_min: 512,
        chunk_avg: 1024,
        chunk_max: 4096,
        ..Parameters::default()
    };
    assert_eq!(namespace.settings().await.unwrap().parameters, parameters);
    assert_eq!(namespace.id().to_string(), "6e616d6573706163652069642031362e");
    let names = namespace.ref_names().await.unwrap().names;
    let expected = ["deep", "every-kind", "gone", "many", "never", "release/1.0"].map(name);
    assert_eq!(names, expected);
    for (reference, entries) in [("every-kind", 15), ("deep", 258), ("many", 1247), ("release/1.0", 0)] {
        let resolved = namespace.resolve(&reference.parse::<Reference>().unwrap()).await.unwrap();
        let snapshot = Snapshot::open(&namespace, resolved.at).await.unwrap();
        assert_eq!(snapshot.root().entries, entries, "{reference}");
        assert_eq!(snapshot.root().parameters, parameters);
    }

    let record = record(&namespace, "every-kind").await;
    let now = &record.current;
    assert_eq!((now.generation, record.fence, now.skipped), (3, 1, 2));
    assert_eq!(now.time.to_string(), "2026-01-02T03:04:05.678901234Z");
    assert_eq!(now.message.as_deref(), Some("a message, \"quoted\""));
    let labels: Vec<_> = now.labels.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    assert_eq!(labels, [("commit", "0123abc"), ("ü", "")]);
    let history: Vec<_> = record.history.iter().map(|past| (past.generation, past.at().is_some())).collect();
    assert_eq!(history, [(2, false), (1, true)]);
    let at = record.history[1].at().unwrap();
    assert_eq!(Snapshot::open(&namespace, at).await.unwrap().root().entries, 0);
    for gone in ["gone", "never"] {
        let error = namespace.resolve(&gone.parse::<Reference>().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{gone}");
    }
}

#[tokio::test]
async fn the_golden_store_is_written_to() {
    let (directory, namespace) = golden().await;
    let at = record(&namespace, "deep").await.current.at().unwrap();
    for (reference, generation) in [("every-kind", 4), ("gone", 3), ("never", 1), ("new", 1)] {
        let tagged = namespace.tag(&name(reference), at, "test", Annotation::default()).await.unwrap();
        let Tagged::Committed(moved) = tagged else { panic!("{tagged:?}") };
        assert_eq!(moved.current.generation, generation, "{reference}");
        assert_eq!(record(&namespace, reference).await, moved);
    }
    let moved = record(&namespace, "every-kind").await;
    assert_eq!(moved.history.iter().map(|past| past.generation).collect::<Vec<_>>(), [3, 2, 1]);
    let text = std::fs::read_to_string(directory.path().join("store/default/refs/every-kind")).unwrap();
    assert_eq!(text.matches("x-unknown").count(), 2, "{text}");
}
