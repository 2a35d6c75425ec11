//! Making a namespace that somebody else makes, and writes to, at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_core::store::{Key, PutMode, Store};
use floe_core::{Ambient, Namespace, NamespaceName};
use floe_testkit::MemoryStore;
use futures::FutureExt;

use super::meddler::Meddler;

async fn make(store: Arc<dyn Store>) -> Namespace {
    Namespace::open_or_create(store, NamespaceName::default(), Ambient::default()).await.unwrap()
}

#[tokio::test]
async fn i1_whoever_makes_a_namespace_finds_the_one_that_somebody_else_made() {
    for at in 0.. {
        let memory = MemoryStore::new();
        let other = memory.clone();
        let is_made = Arc::new(AtomicBool::new(false));
        let made = Arc::clone(&is_made);
        let meddler = Meddler::new(&memory, move |upcoming| {
            let store: Arc<dyn Store> = Arc::new(other.clone());
            let made = Arc::clone(&made);
            (upcoming.number == at).then(|| {
                async move {
                    make(Arc::clone(&store)).await;
                    let pack = Key::new("default/packs/0123").unwrap();
                    made.store(true, Ordering::SeqCst);
                    store.put(&pack, "x".into(), PutMode::Create).await.map(drop)
                }
                .boxed()
            })
        });
        let opened = make(Arc::new(meddler)).await;
        if !is_made.load(Ordering::SeqCst) {
            // It has no more requests.
            assert!(at > 5, "{at}");
            return;
        }
        let seen = Namespace::open(Arc::new(memory), NamespaceName::default(), Ambient::default()).await;
        assert_eq!(seen.unwrap().id(), opened.id(), "before request {at}");
    }
}
