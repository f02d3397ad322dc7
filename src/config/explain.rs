//! The command `explain`: what decides about an action.

use super::{
    Action, Loaded, Match, Overrides, Permission,
    command::{answer, refuse},
    load,
};
use clap::Args;
use realmkeeper_actors::{
    message::uri::{self, Uri},
    permission,
};
use std::{path::PathBuf, process::ExitCode};

/// The exit code for what is denied.
const DENIED: u8 = 1;

/// Tell whether a role may do something, and which line of the file decides
///
/// The exit code is 0 for what is allowed, 1 for what is denied, and 2 if there is no answer.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "REALMKEEPER_CONFIG", hide_env_values = true)]
    config: PathBuf,

    /// The realm
    #[arg(long)]
    realm: String,

    /// The role
    #[arg(long)]
    role: String,

    /// What is to be done
    action: Action,

    /// The URI, or the pattern of a subscription or registration
    uri: String,

    /// How a pattern matches
    #[arg(long = "match", value_name = "MATCH", default_value = "exact")]
    matching: Match,
}

/// Runs `explain`.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    let loaded = match load(&args.config, &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error.to_string()),
    };
    match decide(args, &loaded) {
        Ok((text, is_allowed)) => {
            let code = answer(&text);
            if is_allowed { code } else { ExitCode::from(DENIED) }
        }
        Err(text) => refuse(&format!("realmkeeper: {text}")),
    }
}

/// What to print, and whether it is allowed; an error if the question makes no sense.
fn decide(args: &ExplainArgs, loaded: &Loaded) -> Result<(String, bool), String> {
    let realms = &loaded.config.realms;
    let at = named(realms.iter().map(|realm| realm.name.as_str()), "realm", &args.realm)?;
    let realm = &realms[at];
    let role = named(realm.roles.iter().map(|role| role.name.as_str()), "role", &args.role)?;
    let (uri, matching) = (Uri::from(args.uri.as_str()), uri::Match::from(args.matching));
    if !uri.is_valid(matching, realm.uris.into()) {
        return Err(format!("{:?} is no valid URI for this match in realm {}", args.uri, args.realm));
    }
    let action = permission::Action::from(args.action);
    let may_match = matches!(args.action, Action::Register | Action::Subscribe);
    if matching != uri::Match::Exact && !may_match {
        return Err(format!(
            "--match is for register and subscribe: a client cannot {} a pattern",
            action.name()
        ));
    }
    if let Some(authorizer) = &realm.roles[role].authorizer {
        let text = "decides about every action of role";
        return Err(format!("the authorizer {authorizer} {text} {} in realm {}", args.role, args.realm));
    }
    let permissions = realm.roles[role].permissions();
    let decision = permissions.decide_match(action, &uri, matching);
    let is_reserved = uri.is_reserved() && matches!(args.action, Action::Register | Action::Publish);
    let is_kept = matches!(args.action, Action::Register | Action::Call)
        && matching == uri::Match::Exact
        && !realm.roles[role].trusted
        && loaded.settings.realms[at].options.components.contains(&uri);
    let is_allowed = decision.is_allowed && !is_reserved && !is_kept;
    let verdict = if is_allowed { "allowed" } else { "denied" };
    let reason = match decision.by {
        _ if is_reserved => "only the router publishes and registers below wamp.".to_owned(),
        _ if is_kept => format!("only roles with trusted = true {} what the router asks", action.name()),
        None => "no permission covers it".to_owned(),
        Some((place, _)) => format!(
            "{}:{}: {}",
            args.config.display(),
            loaded.lines[at][role][place],
            summary(&realm.roles[role].permissions[place])
        ),
    };
    let how = match args.matching {
        Match::Exact => "",
        Match::Prefix => " as prefix",
        Match::Wildcard => " as wildcard",
    };
    let question = format!("{} {}{how} for role {} in realm {}", action.name(), uri, args.role, args.realm);
    let absence = match loaded.settings.realms[at].options.lacks(&uri) {
        true => format!("\nthere is no {uri} in this realm: it has session_meta_api = false"),
        false => String::new(),
    };
    Ok((format!("{verdict}: {question}\n{reason}{absence}"), is_allowed))
}

/// The place of a name; an error that tells the known ones.
fn named<'n>(
    mut known: impl Iterator<Item = &'n str> + Clone,
    what: &str,
    name: &str,
) -> Result<usize, String> {
    let names = known.clone().collect::<Vec<_>>().join(", ");
    known.position(|one| one == name).ok_or_else(|| format!("there is no {what} {name}; known here: {names}"))
}

/// A permission as a file has it.
fn summary(permission: &Permission) -> String {
    let matching = uri::Match::from(permission.matching);
    let matching = match matching {
        uri::Match::Exact => "exact",
        uri::Match::Prefix => "prefix",
        uri::Match::Wildcard => "wildcard",
    };
    let allow = permission.allow.iter().map(|action| permission::Action::from(*action).name());
    let allow = allow.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    format!("uri = {:?}, match = {matching:?}, allow = [{allow}]", permission.uri)
}
