//! Two namespaces of one store, by one client with one cache: what is in one is not known in the other.

use floe_core::store::Key;
use floe_core::{ErrorKind, PullOptions};

use super::*;

/// All that was asked since the last time, every bit of it in this namespace.
fn asked_only_of(namespace: &Namespace, store: &RecordingStore) -> BTreeMap<Operation, usize> {
    let counts = store.counts();
    let inside = format!("{}/", namespace.name());
    for request in store.requests() {
        assert!(request.key.starts_with(&inside), "{request:?}");
    }
    store.clear();
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_a_second_namespace_gets_all_anew_and_the_first_is_not_asked() {
    let bench = Bench::new().await;
    fill(&bench.source());
    bench.store.clear();
    let first = bench.push().await.unwrap();
    let asked = asked_only_of(&bench.namespace, &bench.store);
    // Whoever has pulled it has more of it in the cache.
    let cached = PullOptions { cache_dir: bench.options().cache_dir, ..PullOptions::default() };
    let snapshot = Snapshot::open(&bench.namespace, first.at).await.unwrap();
    let pulled = bench.dir.path().join("pulled");
    pull(&bench.namespace, &snapshot, &pulled, &cached, &Arc::default()).await.unwrap();
    bench.store.clear();

    // A base that another namespace has is none, though the cache would know it.
    for (name, base) in [("other", None), ("third", Some(first.at))] {
        let store = Arc::new(bench.store.clone());
        let other =
            Namespace::open_or_create(store, name.parse().unwrap(), Ambient::default()).await.unwrap();
        // Neither the ref nor the snapshot is there by any name.
        for reference in ["main", "mian", "main@1", &first.at.snapshot.to_string()[..20]] {
            let error = other.resolve(&reference.parse().unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{reference}");
        }
        assert_eq!(Snapshot::open(&other, first.at).await.unwrap_err().kind(), ErrorKind::Corrupt);
        asked_only_of(&other, &bench.store);

        let options = PushOptions { base, ..bench.options() };
        let source = PushSource::Directory(bench.source());
        let pushed = push(&other, source, &main_ref(), &options, &Arc::default()).await.unwrap();
        let asked_now = asked_only_of(&other, &bench.store);
        if base.is_none() {
            assert_eq!(asked_now, asked, "as of the first push of all");
        }
        assert_eq!(pushed.at.snapshot, first.at.snapshot);
        let told = |pushed: &Pushed| (pushed.reused_files, pushed.reused_tar_bytes, pushed.packs);
        assert_eq!(told(&pushed), told(&first), "{name}");
        assert_eq!(pushed.uploaded_bytes, first.uploaded_bytes, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_namespace_that_lost_its_format_is_not_made_anew() {
    for left in ["refs/main", "packs/0123"] {
        let memory = MemoryStore::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let made =
            Namespace::open_or_create(Arc::clone(&store), NamespaceName::default(), Ambient::default());
        made.await.unwrap();
        let format = Key::new("default/format.json").unwrap();
        memory.set(&format, None);
        // What a crash leaves while it is made is used.
        let made =
            Namespace::open_or_create(Arc::clone(&store), NamespaceName::default(), Ambient::default());
        made.await.unwrap();
        memory.set(&format, None);
        memory.set(&Key::new(format!("default/{left}")).unwrap(), Some("x".into()));
        let before = memory.objects();
        let at = || (Arc::clone(&store), NamespaceName::default(), Ambient::default());
        let (a, b, c) = (at(), at(), at());
        for opened in [
            Namespace::open_or_create(a.0, a.1, a.2).await,
            Namespace::open_or_imagine(b.0, b.1, b.2).await,
            Namespace::open(c.0, c.1, c.2).await,
        ] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{left}: {error}");
            assert!(error.to_string().contains("`default/format.json`"), "{error}");
        }
        assert_eq!(memory.objects(), before, "{left}");
    }
}
