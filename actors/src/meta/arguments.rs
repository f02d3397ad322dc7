//! The arguments of a meta procedure: positional, or by keyword where no positional is given.

use crate::{
    codec::{Arguments, Payload, read_options},
    message::{
        Element,
        id::{MAX_ID, RegistrationId, SessionId, SubscriptionId},
        uri::{Match, Uri, UriRule, UriRules},
        value::{Dict, Value},
    },
    refusal::{Refusal, check_uri},
};
use std::time::Duration;

/// How many octets a text can have that another session is sent.
const MOST_TEXT: usize = 4096;

/// What a caller gave.
pub(super) struct Given<'a> {
    payload: &'a Payload,
    arguments: Arguments,
}

impl<'a> Given<'a> {
    /// Opens arguments of at most so many octets: as values they take many times the room.
    pub(super) fn open(payload: &'a Payload, most: usize) -> Result<Self, Refusal> {
        if payload.len() > most {
            return Err(invalid(&format!("the arguments have more than {most} octets")));
        }
        match payload.open() {
            Ok(arguments) => Ok(Self { payload, arguments }),
            Err(problem) => Err(Refusal::InvalidArgument(format!("the arguments cannot be read: {problem}"))),
        }
    }

    /// The argument at `position`, or else the one of these keywords that is given. Null counts as not given.
    fn argument(&self, position: usize, names: &[&str]) -> Option<&Value> {
        match self.arguments.args.get(position) {
            Some(value) => Some(value).filter(|value| **value != Value::Null),
            None => names.iter().find_map(|name| self.arguments.kwargs.value(name)),
        }
    }

    pub(super) fn keyword(&self, name: &str) -> Option<&Value> {
        self.arguments.kwargs.value(name)
    }

    pub(super) fn session(&self) -> Result<SessionId, Refusal> {
        self.id(0, &["session", "session_id"], SessionId::new)
    }

    pub(super) fn subscription(&self) -> Result<SubscriptionId, Refusal> {
        self.id(0, &["subscription", "subscription_id"], SubscriptionId::new)
    }

    pub(super) fn registration(&self) -> Result<RegistrationId, Refusal> {
        self.id(0, &["registration"], RegistrationId::new)
    }

    pub(super) fn callee(&self) -> Result<SessionId, Refusal> {
        self.id(1, &["callee"], SessionId::new)
    }

    /// The id at `position`, which goes by the first of these keywords.
    pub(super) fn id<T>(
        &self,
        position: usize,
        names: &[&str],
        new: impl Fn(u64) -> Option<T>,
    ) -> Result<T, Refusal> {
        let value = self.argument(position, names);
        let id = value.and_then(|value| self.payload.id_of(value)).and_then(new);
        let name = names.first().unwrap_or(&"the argument");
        id.ok_or_else(|| invalid(&format!("{name} must be an id, an integer from 1 to 2^53")))
    }

    /// The keyword `name` if it is given, as what `read` makes of it.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.keyword(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| invalid(&format!("{name} must be {expected}")))
    }

    /// The keyword `name` if it is given, as a text.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.keyword(name) else { return Ok(None) };
        text(value).map(Some).ok_or_else(|| invalid(&format!("{name} must be a string")))
    }

    /// The keyword `name` if it is given, as an id or a number of things.
    pub(super) fn optional_integer(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let read = |value: &Value| self.payload.id_of(value).filter(|id| (1..=MAX_ID).contains(id));
        self.optional(name, "an integer from 1 to 2^53", read)
    }

    /// The keyword `name` if it is given, as a time of whole seconds.
    pub(super) fn seconds(&self, name: &str, longest: Duration) -> Result<Option<Duration>, Refusal> {
        let longest = longest.as_secs();
        let read =
            |value: &Value| self.payload.id_of(value).filter(|seconds| (1..=longest).contains(seconds));
        let seconds =
            self.optional(name, &format!("a number of seconds, an integer from 1 to {longest}"), read)?;
        Ok(seconds.map(Duration::from_secs))
    }

    pub(super) fn string(&self, position: usize, name: &str) -> Result<&str, Refusal> {
        let text = self.argument(position, &[name]).and_then(text);
        text.ok_or_else(|| invalid(&format!("{name} must be a string")))
    }

    /// The list of strings at `position`; `None` if it is not given.
    pub(super) fn strings(&self, position: usize, name: &str) -> Result<Option<Vec<&str>>, Refusal> {
        let wrong = || invalid(&format!("{name} must be a list of strings"));
        let values = match self.argument(position, &[name]) {
            None => return Ok(None),
            Some(Value::List(values)) => values,
            Some(_) => return Err(wrong()),
        };
        values.iter().map(|value| text(value).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn list(&self, position: usize, name: &str) -> Result<&[Value], Refusal> {
        match self.argument(position, &[name]) {
            Some(Value::List(values)) => Ok(values),
            _ => Err(invalid(&format!("{name} must be a list"))),
        }
    }

    /// The dict at `position`; `None` if it is not given.
    pub(super) fn optional_dict(&self, position: usize, name: &str) -> Result<Option<&Dict>, Refusal> {
        match self.argument(position, &[name]) {
            None => Ok(None),
            Some(_) => self.dict(position, name).map(Some),
        }
    }

    pub(super) fn dict(&self, position: usize, name: &str) -> Result<&Dict, Refusal> {
        match self.argument(position, &[name]) {
            Some(Value::Dict(dict)) => Ok(dict),
            _ => Err(invalid(&format!("{name} must be a dict"))),
        }
    }

    /// The dict of options at `position` of this procedure; without one there are none.
    pub(super) fn options<T: Element + Default>(
        &self,
        position: usize,
        name: &str,
        procedure: &str,
    ) -> Result<T, Refusal> {
        match self.argument(position, &[name]) {
            None => Ok(T::default()),
            Some(Value::Dict(options)) => {
                read_options(options, procedure, name).map_err(|error| invalid(&error.to_string()))
            }
            Some(_) => Err(invalid(&format!("{name} must be a dict"))),
        }
    }

    /// The keyword `name`: a text for the person at the other end. It is short enough that it reaches a
    /// session whose outbox is full.
    pub(super) fn short_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.optional_text(name)? {
            Some(text) if text.len() > MOST_TEXT => {
                Err(invalid(&format!("{name} must have at most {MOST_TEXT} octets")))
            }
            given => Ok(given.map(str::to_owned)),
        }
    }

    /// The keyword `reason`: why a session is ended.
    pub(super) fn reason(&self, rules: UriRules) -> Result<Uri, Refusal> {
        let Some(reason) = self.keyword("reason") else { return Ok("wamp.close.killed".into()) };
        let no_string = || Refusal::InvalidUri { uri: "reason".into(), problem: "must be a string" };
        let reason = text(reason).map(Uri::from).ok_or_else(no_string)?;
        let rules = UriRules { characters: UriRule::Loose, ..rules };
        check_uri(&reason, Match::Exact, rules).map(|()| reason)
    }
}

/// The text that a value is, if every serializer can carry it: one that begins with U+0000 is binary in JSON.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.starts_with('\0'))
}

pub(super) fn invalid(problem: &str) -> Refusal {
    Refusal::InvalidArgument(problem.to_owned())
}
