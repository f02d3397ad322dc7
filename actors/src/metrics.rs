//! Every metric of the router.

use prometheus::Registry;

/// The metrics of one router, in a registry of their own.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { registry: Registry::new() }
    }
}

impl Metrics {
    /// Where they are gathered from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
