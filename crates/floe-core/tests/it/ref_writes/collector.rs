//! What a collector does to others' objects, done at once.

use bytes::Bytes;
use floe_core::Ambient;
use floe_core::store::{Key, Store};
use floe_testkit::MemoryStore;
use serde_json::{Map, Value, json};

/// The fields of a sealed object.
pub(super) fn unseal(bytes: &[u8]) -> Map<String, Value> {
    let mut json: Value = serde_json::from_slice(bytes).unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.remove("sum");
    fields.clone()
}

fn seal(mut fields: Map<String, Value>) -> Bytes {
    fields.insert("token".into(), token().into());
    let json = serde_json::to_string(&fields).unwrap();
    let rest = &json[1..];
    let sum = blake3::hash(rest.as_bytes()).to_hex();
    format!("{{\"sum\":\"{}\",\n{rest}", &sum[..32]).into()
}

fn token() -> String {
    Ambient::default().token().to_string()
}

/// Changes an object.
pub(super) fn edit(memory: &MemoryStore, key: &Key, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut fields = unseal(&memory.objects()[key]);
    change(&mut fields);
    memory.set(key, Some(seal(fields)));
}

/// Fences a ref, whatever its version; one that is absent becomes a tombstone.
pub(super) fn fence(memory: &MemoryStore, name: &str) {
    let key = Key::new(format!("default/refs/{name}")).unwrap();
    if memory.objects().contains_key(&key) {
        return edit(memory, &key, |fields| fields["fence"] = (fields["fence"].as_u64().unwrap() + 1).into());
    }
    let namespace = &unseal(&memory.objects()[&Key::new("default/format.json").unwrap()])["namespace"];
    let tombstone = json!({
        "format": 1, "namespace": namespace, "features": [], "fence": 1, "generation": 0, "entry_token": token(), "removed": true,
        "time": "2001-02-03T04:05:06Z", "history": [],
    });
    memory.set(&key, Some(seal(tombstone.as_object().unwrap().clone())));
}

/// C6: ends every lease, fencing the ref that it is about to commit.
pub(super) async fn end_leases(memory: &MemoryStore) {
    for (key, lease) in memory.objects() {
        if !key.as_str().starts_with("default/leases/") {
            continue;
        }
        let lease = unseal(&lease);
        if lease["state"] == "committing" {
            let name = lease["ref"].as_str().unwrap();
            let reference = Key::new(format!("default/refs/{name}")).unwrap();
            let version = memory.get(&reference, u64::MAX).await.ok().map(|(_, version)| version);
            if version.as_ref().map(|version| version.as_str())
                == lease.get("version").and_then(Value::as_str)
            {
                fence(memory, name);
            }
        }
        edit(memory, &key, |fields| fields["state"] = "dead".into());
    }
}

/// C5: condemns nothing, but counts it.
pub(super) fn next_generation(memory: &MemoryStore) {
    condemn(memory, "condemned", &[], &[]);
}

/// C5, or C8: adds to one of the lists, which are made where they are not.
pub(super) fn condemn(memory: &MemoryStore, list: &str, packs: &[String], snapshots: &[String]) {
    let key = Key::new("default/gc/state").unwrap();
    edit(memory, &key, |fields| {
        fields["generation"] = (fields["generation"].as_u64().unwrap() + 1).into();
        fields.insert(list.into(), json!({ "packs": packs, "snapshots": snapshots }));
    });
}
