//! Stores that ignore conditions: found out by the first write, and refused.

use std::sync::Arc;

use floe_core::store::{Conditions, Environment, Store, conditions_of};
use floe_core::{Ambient, Annotation, Error, ErrorKind, Namespace, NamespaceName, Result};
use floe_testkit::{HeedlessStore, Ignored, MemoryStore, Operation, RecordingStore};

use super::{name, push_to, small_files};

/// What a server is told to have done.
const ACCUSATIONS: [(Ignored, &str); 3] = [
    (Ignored::All, "`If-None-Match: *`"),
    (Ignored::Create, "`If-None-Match: *`"),
    (Ignored::Swap, "`If-Match`"),
];

async fn open(store: Arc<dyn Store>) -> Result<Namespace> {
    Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await
}

fn assert_refused(error: &Error, accusation: &str) {
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(accusation), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_not_made_where_conditions_are_ignored() {
    for (ignored, accusation) in ACCUSATIONS {
        let memory = MemoryStore::new();
        let error = open(Arc::new(HeedlessStore::new(Arc::new(memory.clone()), ignored))).await.unwrap_err();
        assert_refused(&error, accusation);
        assert!(memory.objects().is_empty());
    }
}

/// Made elsewhere and copied there, say, or the server was replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_not_written_to_where_conditions_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    small_files(&source, 2, 3, 100);
    let memory = MemoryStore::new();
    let honest = open(Arc::new(memory.clone())).await.unwrap();
    let at = push_to(&honest, &source, "main", None).await.unwrap().at;
    let before = memory.objects();
    for (ignored, accusation) in ACCUSATIONS {
        let heedless = Arc::new(HeedlessStore::new(Arc::new(memory.clone()), ignored));
        for _ in 0..2 {
            let conditions = Conditions::remembered(&cache, "heedless");
            let namespace = open(heedless.clone()).await.unwrap().with_conditions(conditions);
            let pushed = push_to(&namespace, &source, "other", Some(&cache)).await;
            assert_refused(&pushed.unwrap_err(), accusation);
            let tagged = namespace.tag(&name("other"), at, "test", Annotation::default()).await;
            assert_refused(&tagged.unwrap_err(), accusation);
            let removed = namespace.remove_ref(&name("main"), "test", Annotation::default()).await;
            assert_refused(&removed.unwrap_err(), accusation);
        }
        assert_eq!(memory.objects(), before, "{ignored:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_answer_is_asked_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    small_files(&source, 2, 3, 100);
    let memory = MemoryStore::new();
    open(Arc::new(memory.clone())).await.unwrap();
    let store = RecordingStore::new(Arc::new(memory));
    let mut refused = Vec::new();
    for server in ["one", "one", "another"] {
        let conditions = Conditions::remembered(&cache, server);
        let namespace = open(Arc::new(store.clone())).await.unwrap().with_conditions(conditions);
        store.clear();
        push_to(&namespace, &source, "main", Some(&cache)).await.unwrap();
        let requests = store.requests();
        refused
            .push(requests.iter().filter(|request| !request.succeeded && is_put(request.operation)).count());
    }
    assert_eq!(refused, [2, 0, 2]);
}

fn is_put(operation: Operation) -> bool {
    matches!(operation, Operation::Create | Operation::Swap | Operation::Overwrite)
}

#[test]
fn what_is_known_of_one_server_is_not_believed_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |location: &str, endpoint: &str| {
        let environment: Environment =
            [("FLOE_S3_ENDPOINT", endpoint), ("AWS_SECRET_ACCESS_KEY", "hidden")].into_iter().collect();
        format!("{:?}", conditions_of(location, &environment, dir.path()).unwrap())
    };
    let one = shown("s3://bucket/prefix", "https://one");
    assert_eq!(one, shown("s3://bucket/other", "https://one"));
    assert_ne!(one, shown("s3://bucket/prefix", "https://two"));
    assert_ne!(one, shown("s3://another/prefix", "https://one"));
    assert!(!one.contains("hidden"));
}
