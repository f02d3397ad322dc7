//! The maps and sets of the core: but for [`Lookup`] they iterate in an order that does not depend on their hashes, so
//! that the same steps always have the same effects.

/// A map that keeps the order of insertion, but for removals.
pub(crate) type Map<K, V> = indexmap::IndexMap<K, V, foldhash::fast::RandomState>;

/// A map whose entries are only looked up, counted or sorted, so that their order is nothing that anybody sees. It is
/// faster than a [`Map`].
pub(crate) type Lookup<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A set that keeps the order of insertion, but for removals.
pub(crate) type Set<T> = indexmap::IndexSet<T, foldhash::fast::RandomState>;
