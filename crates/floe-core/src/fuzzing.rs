//! What the fuzz targets ask of decoders that are private: no part of this crate's interface.

mod caches;
mod json;
#[cfg(test)]
mod tests;

pub use caches::{Journal, NameCache, TailCache, ToldName, reseal_name_cache, stat_cache_file};
pub use json::{rewritten_collector_state, rewritten_format, rewritten_ref};
