//! Who is in a realm, as the session meta API tells it.

use super::text;
use crate::client::{Failure, Payload, Session};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value};

/// How many sessions are asked for at the same time.
const AT_ONCE: usize = 32;

/// What is known of a session. The keys of the first are always there; what a router tells besides comes behind them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Details {
    /// Its id.
    pub(super) session: u64,
    pub(super) authid: Value,
    pub(super) authrole: Value,
    pub(super) authmethod: Value,
    pub(super) authprovider: Value,
    pub(super) transport: Value,
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

impl Details {
    /// Reads what `wamp.session.get` or `on_join` tell.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, Failure> {
        let value = value.unwrap_or(&Value::Null);
        let unreadable = || Failure::unexpected("as the details of a session", value);
        let mut more = value.as_object().cloned().ok_or_else(unreadable)?;
        let mut take = |key: &str| more.remove(key).unwrap_or_default();
        let session = take("session").as_u64().ok_or_else(unreadable)?;
        let [authid, authrole] = [take("authid"), take("authrole")];
        let [authmethod, authprovider] = [take("authmethod"), take("authprovider")];
        let transport = take("transport");
        Ok(Self { session, authid, authrole, authmethod, authprovider, transport, more })
    }

    /// How it is connected: framing, serializer, and whether the connection is encrypted.
    pub(super) fn connection(&self) -> String {
        let part = |key: &str| self.transport.get(key).and_then(Value::as_str);
        let is_secure = self.transport.get("is_secure").and_then(Value::as_bool).unwrap_or_default();
        let parts = [part("channel_framing"), part("channel_serializer"), is_secure.then_some("tls")];
        let parts: Vec<_> = parts.into_iter().flatten().map(text::word).collect();
        if parts.is_empty() { "-".to_owned() } else { parts.join(" ") }
    }

    /// Where it is connected from.
    pub(super) fn peer(&self) -> String {
        shown(self.transport.get("peer").unwrap_or(&Value::Null))
    }

    /// Its name and role, in that order.
    pub(super) fn who(&self) -> String {
        format!("{} {}", shown(&self.authid), shown(&self.authrole))
    }
}

/// A value in one word.
pub(super) fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text::word(text),
        None if value.is_null() => "-".to_owned(),
        None => text::json(value),
    }
}

/// Every session of the realm with its details, by authid and id. Those that leave meanwhile are left out.
pub(super) async fn all(session: &Session, authroles: &[String]) -> Result<Vec<Details>, Failure> {
    let args = if authroles.is_empty() { Vec::new() } else { vec![authroles.into()] };
    let listed = session.call("wamp.session.list", Payload::of(args)).await?;
    let ids = listed.args.first().and_then(Value::as_array).cloned();
    let ids = ids.ok_or_else(|| Failure::unexpected("as a list of sessions", &listed.args.into()))?;
    let got = stream::iter(ids).map(|id| get(session, id)).buffer_unordered(AT_ONCE);
    let mut all: Vec<Details> = got.try_filter_map(async |found| Ok(found)).try_collect().await?;
    all.sort_by_cached_key(|details| (shown(&details.authid), details.session));
    Ok(all)
}

/// What is known of a session, if it is still there.
async fn get(session: &Session, id: Value) -> Result<Option<Details>, Failure> {
    match session.call("wamp.session.get", Payload::of(vec![id])).await {
        Ok(told) => Details::read(told.args.first()).map(Some),
        Err(Failure::Refused(refused)) if refused.uri == "wamp.error.no_such_session" => Ok(None),
        Err(failure) => Err(failure),
    }
}
