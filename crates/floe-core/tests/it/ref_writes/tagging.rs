//! What may be tagged.

use std::sync::Arc;

use bytes::Bytes;
use floe_core::store::Key;
use floe_core::{Annotation, ErrorKind, MAX_HISTORY, Reference, SnapshotAt, Tagged};
use floe_format::LayoutId;

use super::collector::condemn;
use super::meddler::Meddler;
use super::{CHANGES, Change, World, pack_id, put_snapshot_at, ref_name};

fn packs_of(n: u8) -> [String; 2] {
    [0, 1].map(|m| pack_id(n, m).to_string())
}

#[tokio::test]
async fn a_tag_of_what_the_ref_names_is_unchanged() {
    let world = World::new().await;
    let namespace = world.plain().await;
    let before = world.memory.objects();
    let elsewhere = SnapshotAt { layout: LayoutId::from_bytes([77; 16]), ..world.at[1] };
    for at in [world.at[1], elsewhere] {
        let tagged = world.tag(&namespace, "main", at).await.unwrap();
        assert_eq!(tagged, Tagged::Unchanged(world.record("main").await.unwrap()));
    }
    assert_eq!(world.memory.objects(), before);
}

#[tokio::test]
async fn a_generation_that_is_not_there_was_or_will_be() {
    let world = World::new().await;
    let namespace = world.plain().await;
    let told = async |generation| {
        let reference = Reference::Generation(ref_name("main"), generation);
        namespace.resolve(&reference).await.unwrap_err().to_string()
    };
    assert_eq!(told(3).await, "`main` has no generation 3 yet; it is at 2");
    assert_eq!(told(u64::MAX).await, format!("`main` has no generation {} yet; it is at 2", u64::MAX));
    assert_eq!(told(0).await, "`main` has no generation 0; the first is 1");
    for number in 0..MAX_HISTORY {
        world.tag(&namespace, "main", world.at[number % 2]).await.unwrap();
    }
    assert_eq!(told(1).await, "`main` has no generation 1 any more; it is at 34 and remembers 32");
}

/// Another layout of the same snapshot takes the place of one that is not whole any more.
#[tokio::test]
async fn i1_a_tag_brings_back_what_is_whole_elsewhere() {
    for missing in ["snapshot", "pack"] {
        let world = World::new().await;
        let namespace = world.plain().await;
        let elsewhere = put_snapshot_at(&world.memory, 1, 77);
        assert_eq!((elsewhere.snapshot, elsewhere == world.at[1]), (world.at[1].snapshot, false));
        match missing {
            "snapshot" => world.remove(&format!("snapshots/{}", world.at[1])),
            _ => world.remove(&format!("packs/{}", pack_id(1, 1))),
        }
        let Tagged::Committed(record) = world.tag(&namespace, "main", elsewhere).await.unwrap() else {
            panic!("unchanged without its {missing}")
        };
        assert_eq!((record.current.generation, record.current.at()), (3, Some(elsewhere)));
        assert_eq!(world.leases(), []);
        let again = world.tag(&namespace, "main", elsewhere).await.unwrap();
        assert!(matches!(again, Tagged::Unchanged(_)));
    }
}

#[tokio::test]
async fn i1_only_what_is_whole_is_tagged() {
    let snapshot = |world: &World| format!("snapshots/{}", world.at[2]);
    for missing in ["snapshot", "pack"] {
        let world = World::new().await;
        match missing {
            "snapshot" => world.remove(&snapshot(&world)),
            _ => world.remove(&format!("packs/{}", pack_id(2, 1))),
        }
        for change in [Change::New, Change::Move] {
            let error = change.make(&world, &world.plain().await).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            change.assert_not_made(&world, missing).await;
            assert_eq!(world.leases(), []);
        }
    }
    let world = World::new().await;
    let key = Key::new(format!("default/packs/{}", pack_id(2, 0))).unwrap();
    world.memory.set(&key, Some(Bytes::from_static(b"short")));
    let error = Change::Move.make(&world, &world.plain().await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// What was there before the handshake and is not after it was not protected.
#[tokio::test]
async fn i1_existence_is_asked_for_after_the_handshake() {
    for change in [Change::New, Change::Move] {
        let world = World::new().await;
        let (memory, lost) = (world.memory.clone(), format!("default/packs/{}", pack_id(2, 0)));
        let meddler = Meddler::new(&world.memory, move |upcoming| {
            if upcoming.what == "get default/gc/state" {
                memory.set(&Key::new(lost.clone()).unwrap(), None);
            }
            None
        });
        let error = change.make(&world, &world.through(Arc::new(meddler)).await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        change.assert_not_made(&world, "").await;
    }
}

#[tokio::test]
async fn i1_nothing_condemned_is_tagged() {
    for change in [Change::New, Change::Move, Change::Back] {
        for list in ["condemned", "doomed"] {
            for what in ["pack", "snapshot", "others"] {
                let world = World::new().await;
                let at = change.at(&world).unwrap();
                let n = if at == world.at[0] { 0 } else { 2 };
                match what {
                    "pack" => condemn(&world.memory, list, &packs_of(n)[1..], &[]),
                    "snapshot" => condemn(&world.memory, list, &[], &[at.to_string()]),
                    _ => condemn(&world.memory, list, &packs_of(3), &[world.at[3].to_string()]),
                }
                let made = change.make(&world, &world.plain().await).await;
                assert_eq!(world.leases(), []);
                let context = format!("{change:?} {list} {what}");
                if what == "others" {
                    change.assert_made(&world, &made.unwrap(), &context).await;
                } else {
                    assert_eq!(made.unwrap_err().kind(), ErrorKind::Conflict, "{context}");
                    change.assert_not_made(&world, &context).await;
                }
            }
        }
    }
}

/// A namespace whose `gc/state` was lost is not written to, and the state is not made anew.
#[tokio::test]
async fn nothing_is_written_without_the_collectors_state() {
    for change in CHANGES {
        let world = World::new().await;
        let namespace = world.plain().await;
        world.remove("gc/state");
        let before = world.memory.objects();
        let error = change.make(&world, &namespace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(world.memory.objects(), before);
        // Nor by who opens it first.
        let error = change.make(&world, &world.plain().await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(world.memory.objects(), before);
    }
}

#[tokio::test]
async fn a_removed_ref_keeps_its_history_and_goes_on() {
    let world = World::new().await;
    let namespace = world.plain().await;
    let main = ref_name("main");
    let remove = || namespace.remove_ref(&main, "test", Annotation::default());
    let gone = remove().await.unwrap();
    assert_eq!((gone.current.generation, gone.current.at()), (3, None));
    assert_eq!(remove().await.unwrap_err().kind(), ErrorKind::NotFound);
    let never = namespace.remove_ref(&ref_name("never"), "test", Annotation::default()).await;
    assert_eq!(never.unwrap_err().kind(), ErrorKind::NotFound);

    let resolve = |text: &str| {
        let (namespace, reference) = (namespace.clone(), text.parse().unwrap());
        async move { namespace.resolve(&reference).await }
    };
    let error = resolve("main").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "the ref `main` was removed; `main@2` was the last before");
    assert_eq!(resolve("main@1").await.unwrap().at, world.at[0]);
    let Tagged::Committed(back) = world.tag(&namespace, "main", world.at[1]).await.unwrap() else { panic!() };
    assert_eq!(back.current.generation, 4);
    assert_eq!(resolve("main").await.unwrap().at, world.at[1]);
    let error = resolve("main@3").await.unwrap_err();
    assert_eq!(error.to_string(), "generation 3 of `main` is its removal; `main@2` was the last before");
    for near in ["mian", "MAIN"] {
        let error = resolve(near).await.unwrap_err();
        assert!(error.to_string().contains("`main`"), "{error}");
    }
    assert_eq!(world.leases(), []);
}
