//! Refs that this version cannot have written: nothing is written onto them.

use floe_core::ErrorKind;
use floe_core::store::Key;
use serde_json::{Map, Value, json};

use super::collector::edit;
use super::{Change, World};

/// The most that is counted.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// Asserts that no change of `main` is made after this one of its object.
async fn assert_refused(change: impl Fn(&mut Map<String, Value>), kind: ErrorKind) {
    for made in [Change::Move, Change::Back, Change::Remove] {
        let world = World::new().await;
        let namespace = world.plain().await;
        edit(&world.memory, &Key::new("default/refs/main").unwrap(), &change);
        let before = world.memory.objects();
        let error = made.make(&world, &namespace).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{made:?}: {error}");
        assert!(error.to_string().contains("main"), "{error}");
        assert_eq!(world.memory.objects(), before, "{made:?}");
    }
}

#[tokio::test]
async fn i2_a_ref_that_cannot_count_on_is_not_written_to() {
    for generation in [MAX_COUNT + 1, u64::MAX - 1, u64::MAX] {
        assert_refused(|fields| fields["generation"] = generation.into(), ErrorKind::Corrupt).await;
        assert_refused(|fields| fields["fence"] = generation.into(), ErrorKind::Corrupt).await;
    }
    assert_refused(|fields| fields["generation"] = MAX_COUNT.into(), ErrorKind::Invalid).await;
}

#[tokio::test]
async fn i2_a_ref_with_a_feature_of_another_version_is_not_written_to() {
    assert_refused(|fields| fields["features"] = json!(["x"]), ErrorKind::Unsupported).await;
    assert_refused(|fields| fields["format"] = 2.into(), ErrorKind::Unsupported).await;
}
