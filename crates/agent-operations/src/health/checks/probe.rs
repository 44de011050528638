//! A check of what only its owner can try: the session store by a real write, a shared cache by its own account.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;

use crate::health::{CheckResult, HealthCheck};

type Look = dyn Fn() -> Pin<Box<dyn Future<Output = CheckResult> + Send>> + Send + Sync;

/// A named function that looks.
pub struct Probe {
    name: String,
    look: Box<Look>,
}

impl Probe {
    /// Calls `look` in each cycle.
    pub fn new<F, Looked>(name: impl Into<String>, look: F) -> Self
    where
        F: Fn() -> Looked + Send + Sync + 'static,
        Looked: Future<Output = CheckResult> + Send + 'static,
    {
        Probe {
            name: name.into(),
            look: Box::new(move || Box::pin(look())),
        }
    }
}

#[async_trait]
impl HealthCheck for Probe {
    async fn check(&self) -> CheckResult {
        (self.look)().await
    }

    fn name(&self) -> &str {
        &self.name
    }
}
