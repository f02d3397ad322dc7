//! Messages of routed remote procedure calls (section "Remote Procedure Calls"), and ERROR.

use super::{
    field::{Field, Sparse, message, options, packing, passthru, revocable, words},
    id::{RegistrationId, RequestId, SessionId},
    uri::{Match, Uri},
};
use crate::codec::{Raw, Writer};

message! {
    /// `[8, REQUEST.Type:int, REQUEST.Request:id, Details:dict, Error:uri, Arguments:list, ArgumentsKw:dict]`
    Error = 8 "ERROR" {
        /// The type of the request that failed.
        request_type "REQUEST.Type": RequestType,
        /// The request that failed.
        request "REQUEST.Request": RequestId,
        /// What is said about the payload.
        details "Details": Sparse<ErrorDetails>,
        /// Why.
        error "Error": Uri,
    } + payload
    /// `[48, Request:id, Options:dict, Procedure:uri, Arguments:list, ArgumentsKw:dict]`
    Call = 48 "CALL" {
        /// The caller's request.
        request "Request": RequestId,
        /// How to call.
        options "Options": Sparse<CallOptions>,
        /// The procedure.
        procedure "Procedure": Uri,
    } + payload
    /// `[49, CALL.Request:id, Options:dict]`
    Cancel = 49 "CANCEL" {
        /// The call to cancel.
        request "CALL.Request": RequestId,
        /// How.
        options "Options": CancelOptions,
    }
    /// `[50, CALL.Request:id, Details:dict, Arguments:list, ArgumentsKw:dict]`
    Result = 50 "RESULT" {
        /// The call answered.
        request "CALL.Request": RequestId,
        /// What is said about the payload.
        details "Details": Sparse<ResultDetails>,
    } + payload
    /// `[64, Request:id, Options:dict, Procedure:uri]`
    Register = 64 "REGISTER" {
        /// The callee's request.
        request "Request": RequestId,
        /// How the procedure matches and is shared.
        options "Options": RegisterOptions,
        /// The procedure or the pattern of procedures.
        procedure "Procedure": Uri,
    }
    /// `[65, REGISTER.Request:id, Registration:id]`
    Registered = 65 "REGISTERED" {
        /// The request answered.
        request "REGISTER.Request": RequestId,
        /// The registration.
        registration "Registration": RegistrationId,
    }
    /// `[66, Request:id, Registration:id]`
    Unregister = 66 "UNREGISTER" {
        /// The callee's request.
        request "Request": RequestId,
        /// The registration to end.
        registration "Registration": RegistrationId,
    }
    /// `[68, Request:id, Registration:id, Details:dict, Arguments:list, ArgumentsKw:dict]`
    Invocation = 68 "INVOCATION" {
        /// The dealer's request, counted per callee.
        request "Request": RequestId,
        /// The registration called.
        registration "Registration": RegistrationId,
        /// What is said about the call.
        details "Details": Sparse<InvocationDetails>,
    } + payload
    /// `[69, INVOCATION.Request:id, Options:dict]`
    Interrupt = 69 "INTERRUPT" {
        /// The invocation to stop.
        request "INVOCATION.Request": RequestId,
        /// How.
        options "Options": InterruptOptions,
    }
    /// `[70, INVOCATION.Request:id, Options:dict, Arguments:list, ArgumentsKw:dict]`
    Yield = 70 "YIELD" {
        /// The invocation answered.
        request "INVOCATION.Request": RequestId,
        /// What is said about the payload.
        options "Options": Sparse<YieldOptions>,
    } + payload
}

revocable! {
    /// `[67, UNREGISTER.Request:id]`, or `[67, 0, Details:dict]` where the router ended it.
    Unregistered = 67 "UNREGISTERED" "UNREGISTER.Request": UnregisteredDetails
}

options! {
    /// CALL.Options.
    CallOptions {
        /// How long the call may take, in milliseconds; 0 is no limit.
        timeout: u64,
        /// Whether results in parts are welcome.
        receive_progress: bool,
        /// Whether more arguments follow.
        progress: bool,
        /// Whether the callee learns who calls.
        disclose_me: bool,
        /// How a sharded procedure is called.
        runmode: Box<str>,
        /// The key of a shard.
        rkey: Box<str>,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// CANCEL.Options.
    CancelOptions {
        /// How the call is canceled.
        mode: CancelMode,
    }
    /// RESULT.Details.
    ResultDetails {
        /// Whether more results follow.
        progress: bool,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// REGISTER.Options.
    RegisterOptions {
        /// How the procedure matches; absent: exact.
        r#match: Match,
        /// How calls are shared among callees; absent: single.
        invoke: Invoke,
        /// Whether the callee wants to know its callers.
        disclose_caller: bool,
        /// Whether the callee keeps the time of calls itself.
        forward_timeout: bool,
        /// Whether a present holder has to give way.
        force_reregister: bool,
    }
    /// INVOCATION.Details.
    InvocationDetails {
        /// The procedure called, for a registration of a pattern.
        procedure: Uri,
        /// The session that calls, if disclosed.
        caller: SessionId,
        /// Its authid.
        caller_authid: Box<str>,
        /// Its authrole.
        caller_authrole: Box<str>,
        /// How far the caller is trusted.
        trustlevel: u64,
        /// How long the call may take, in milliseconds, where the callee keeps the time.
        timeout: u64,
        /// Whether results in parts are welcome.
        receive_progress: bool,
        /// Whether more arguments follow.
        progress: bool,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// INTERRUPT.Options.
    InterruptOptions {
        /// How the invocation is stopped.
        mode: CancelMode,
        /// Why.
        reason: Uri,
    }
    /// YIELD.Options.
    YieldOptions {
        /// Whether more results follow.
        progress: bool,
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// ERROR.Details.
    ErrorDetails {
        /// Payload passthru: the scheme.
        ppt_scheme: Box<str>,
        /// Payload passthru: the serializer inside.
        ppt_serializer: Box<str>,
        /// Payload passthru: the cipher.
        ppt_cipher: Box<str>,
        /// Payload passthru: the key.
        ppt_keyid: Box<str>,
    }
    /// UNREGISTERED.Details.
    UnregisteredDetails {
        /// The registration that ended.
        registration: RegistrationId,
        /// Why.
        reason: Box<str>,
    }
}

passthru! {
    CallOptions "CALL.Options"
    YieldOptions "YIELD.Options"
    ErrorDetails "ERROR.Details"
}

packing! {
    CallOptions => InvocationDetails
    YieldOptions => ResultDetails
}

/// How calls are shared among the callees of one registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invoke {
    /// There is one callee.
    #[default]
    Single,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The oldest.
    First,
    /// The newest.
    Last,
}

words! { Invoke: "a string, one of single, roundrobin, random, first and last" {
    Single = "single", RoundRobin = "roundrobin", Random = "random", First = "first", Last = "last",
}}

/// How a call is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelMode {
    /// The callee is left alone.
    Skip,
    /// The callee is interrupted and its answer awaited.
    Kill,
    /// The callee is interrupted and its answer dropped.
    KillNoWait,
}

words! { CancelMode: "a string, one of skip, kill and killnowait" {
    Skip = "skip", Kill = "kill", KillNoWait = "killnowait",
}}

/// The type of a request that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestType {
    /// PUBLISH.
    Publish,
    /// SUBSCRIBE.
    Subscribe,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// CALL.
    Call,
    /// REGISTER.
    Register,
    /// UNREGISTER.
    Unregister,
    /// INVOCATION.
    Invocation,
}

impl RequestType {
    /// The code of the message.
    pub fn code(self) -> u64 {
        match self {
            Self::Publish => 16,
            Self::Subscribe => 32,
            Self::Unsubscribe => 34,
            Self::Call => 48,
            Self::Register => 64,
            Self::Unregister => 66,
            Self::Invocation => 68,
        }
    }
}

impl Field for RequestType {
    const EXPECTED: &'static str = "an integer, one of 16, 32, 34, 48, 64, 66 and 68";

    fn read(raw: Raw<'_>) -> Option<Self> {
        let code = raw.integer()?;
        let types = [
            Self::Publish,
            Self::Subscribe,
            Self::Unsubscribe,
            Self::Call,
            Self::Register,
            Self::Unregister,
            Self::Invocation,
        ];
        types.into_iter().find(|request_type| request_type.code() == code)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.integer(self.code());
    }
}
