//! The command `user`: the users file of a realm.

mod file;

use crate::config::{answer, refuse};
use clap::{Args, Subcommand};
use file::UsersFile;
use realmkeeper_actors::session::access::{
    CertificateName,
    cryptosign::{self, PublicKey},
};
use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Write the users file of a realm
///
/// The router reads it where `users` of the realm names it. Passwords stand in it only as what is derived of them.
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add somebody, who gets a password unless a public key or a certificate is named
    Add {
        #[command(flatten)]
        user: User,

        /// The role, one of those of the realm
        #[arg(long)]
        role: String,

        /// A public key for cryptosign, 64 hexadecimal digits
        #[arg(long, value_name = "KEY", conflicts_with = "stdin")]
        public_key: Option<PublicKey>,

        /// A name in the client certificate for tls, such as cn:NAME, dns:NAME, uri:NAME or sha256:DIGITS
        #[arg(long, value_name = "NAME", conflicts_with = "stdin")]
        certificate: Option<CertificateName>,

        #[command(flatten)]
        password: Password,
    },
    /// Print who stands in it: the authid, the role, and the methods of authentication
    List {
        #[command(flatten)]
        file: File,
    },
    /// Take somebody out of it
    Remove {
        #[command(flatten)]
        user: User,
    },
    /// Change the password, which serves ticket, wampcra and wamp-scram
    Passwd {
        #[command(flatten)]
        user: User,

        #[command(flatten)]
        password: Password,
    },
    /// Add or remove a public key for cryptosign, or make a new pair of keys
    Key {
        #[command(flatten)]
        user: User,

        #[command(flatten)]
        change: KeyChange,

        /// Where the private key of a new pair is written; without it it is printed
        #[arg(long, value_name = "FILE", requires = "generate")]
        private_key: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The users file; `add` makes it if there is none
    #[arg(long)]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct User {
    /// Who it is
    authid: String,

    #[command(flatten)]
    file: File,
}

#[derive(Debug, Args)]
struct Password {
    /// Read the password from the standard input; without this it is asked for twice on the terminal
    #[arg(long)]
    stdin: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KeyChange {
    /// The public key to add
    #[arg(long, value_name = "KEY")]
    add: Option<PublicKey>,

    /// The public key to remove
    #[arg(long, value_name = "KEY")]
    remove: Option<PublicKey>,

    /// Make a pair of keys and add the public one
    #[arg(long)]
    generate: bool,
}

/// Runs `user`. The exit code is 0 if the file says what was asked for, and 2 if it is as before.
pub fn run(args: &UserArgs) -> ExitCode {
    match carry_out(&args.command) {
        Ok(text) => answer(&text),
        Err(problem) => refuse(&problem),
    }
}

/// What is printed when it is done, or why it is not. The errors of the file come as those of a configuration do.
fn carry_out(command: &UserCommand) -> Result<String, String> {
    match command {
        UserCommand::List { file } => {
            let file = UsersFile::open(&file.file)?;
            let lines = file.users().map(|user| user.join("\t"));
            Ok(lines.collect::<Vec<_>>().join("\n"))
        }
        UserCommand::Add { user, role, public_key, certificate, password } => {
            let path = &user.file.file;
            let needs_password = public_key.is_none() && certificate.is_none();
            let password = if needs_password {
                // Nobody is asked in vain, and nobody else waits for who is asked.
                UsersFile::open_or_new(path)?.add(&user.authid, role)?;
                Some(password.read()?)
            } else {
                None
            };
            let mut file = UsersFile::change(path, UsersFile::open_or_new)?;
            file.add(&user.authid, role)?;
            if let Some(key) = public_key {
                file.add_key(&user.authid, key)?;
            }
            if let Some(name) = certificate {
                file.add_certificate(&user.authid, name)?;
            }
            if let Some(password) = password {
                file.set_password(&user.authid, &password)?;
            }
            file.save()?;
            Ok(format!("{}: {} added with the role {role}", path.display(), user.authid))
        }
        UserCommand::Remove { user } => {
            let mut file = UsersFile::change(&user.file.file, UsersFile::open)?;
            file.remove(&user.authid)?;
            file.save()?;
            Ok(format!("{}: {} removed", user.file.file.display(), user.authid))
        }
        UserCommand::Passwd { user, password } => {
            UsersFile::open(&user.file.file)?.expect(&user.authid)?;
            let password = password.read()?;
            let mut file = UsersFile::change(&user.file.file, UsersFile::open)?;
            file.set_password(&user.authid, &password)?;
            file.save()?;
            Ok(format!("{}: {} has a new password", user.file.file.display(), user.authid))
        }
        UserCommand::Key { user, change, private_key } => {
            let mut file = UsersFile::change(&user.file.file, UsersFile::open)?;
            let done = match change {
                KeyChange { add: Some(key), .. } => {
                    file.add_key(&user.authid, key)?;
                    format!("{} has the public key {key}", user.authid)
                }
                KeyChange { remove: Some(key), .. } => {
                    file.remove_key(&user.authid, key)?;
                    format!("{} has the public key {key} no more", user.authid)
                }
                KeyChange { .. } => return generate(file, user, private_key.as_deref()),
            };
            file.save()?;
            Ok(format!("{}: {done}", user.file.file.display()))
        }
    }
}

/// Makes a pair of keys. The private one is written before the public one is known.
fn generate(mut file: UsersFile, user: &User, private_key: Option<&Path>) -> Result<String, String> {
    let private: [u8; 32] = rand::random();
    let public = cryptosign::public_key(&private);
    file.add_key(&user.authid, &public)?;
    let private = cryptosign::hex(&private);
    let told = match private_key {
        Some(path) => {
            write_new(path, &format!("{private}\n"))?;
            format!("the private key is in {}", path.display())
        }
        None => format!("the private key, which is not kept here: {private}"),
    };
    file.save()?;
    Ok(format!("{}: {} has the public key {public}\n{told}", user.file.file.display(), user.authid))
}

/// Writes a file that was not there, for its owner alone.
fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| format!("realmkeeper: cannot write {}: {error}", path.display()))
}

impl Password {
    /// The password. A line end behind it does not count.
    fn read(&self) -> Result<String, String> {
        let unreadable = |error: io::Error| format!("realmkeeper: cannot read the password: {error}");
        if self.stdin {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(unreadable)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
        }
        let ask = |prompt| {
            rpassword::prompt_password(prompt)
                .map_err(|error| unreadable(error) + "; without a terminal use --stdin")
        };
        let password = ask("Password: ")?;
        if ask("The same again: ")? != password {
            return Err("realmkeeper: the passwords differ".into());
        }
        Ok(password)
    }
}
