//! Sessions that have nothing to do with what is measured: it must not cost more for them.

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::progress;
use super::router::{Router, allow_open_files, settle};
use super::run::Roles;

/// Sessions that have nothing to do with what is measured.
#[derive(Clone, Copy, Debug, Args, Serialize)]
pub(super) struct Bystanders {
    /// Sessions that have nothing to do with it, each with a subscription and a registration of its own
    #[arg(long, default_value_t = 0)]
    bystanders: usize,
    /// Spread them in turn over realms named bench1, bench2 and so on, as many as this, which the router must have;
    /// without it they are in the realm of the others
    #[arg(long, value_name = "REALMS", value_parser = super::count, requires = "bystanders")]
    bystander_realms: Option<usize>,
}

impl Bystanders {
    /// Lets them join, and sees that `others` can join besides.
    pub(super) async fn join(self, router: &Router, roles: &mut Roles, others: usize) -> Result<(), Failure> {
        allow_open_files(self.bystanders + others)?;
        if self.bystanders > 0 && router.is_relay {
            return Err(Failure::Usage("a relay has no bystanders"));
        }
        let join = async |number| {
            let (mut client, session) = match self.bystander_realms {
                Some(realms) => router.join_realm(&realm(number % realms + 1)).await?,
                None => router.join().await?,
            };
            let uri = format!("bench.bystander.{number}");
            client.subscribe(&uri).await?;
            client.register(&uri).await?;
            Ok((client, session))
        };
        settle(roles, &progress::count("bystanders", self.bystanders), self.bystanders, join).await?;
        Ok(())
    }
}

/// The name of a realm of bystanders, counted from 1.
pub(super) fn realm(number: usize) -> String {
    format!("bench{number}")
}
