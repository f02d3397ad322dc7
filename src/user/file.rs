//! A users file that is changed: what was there stays as it was written, comments included.

use crate::config::{Known, load_users, read_users};
use base64::{Engine, prelude::BASE64_STANDARD};
use realmkeeper_actors::session::access::{
    CertificateName, Ticket,
    cra::{self, Salting},
    cryptosign::PublicKey,
    scram::{self, Kdf},
};
use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

/// What is written above a new file.
const HEAD: &str = "# Written by `realmkeeper user`. What is changed here by hand stays.\n";

/// How many rounds PBKDF2 takes for wampcra: the client takes them anew for each session.
const CRA_ITERATIONS: u32 = 100_000;

/// The keys that hold a password, or what is derived of one.
const BY_PASSWORD: [&str; 9] = [
    "ticket",
    "ticket_hash",
    "ticket_env",
    "ticket_file",
    "secret",
    "secret_env",
    "secret_file",
    "cra",
    "scram",
];

/// A users file.
#[derive(Debug)]
pub(super) struct UsersFile {
    /// Its name, as it was given.
    path: PathBuf,
    document: DocumentMut,
    known: Vec<Known>,
    /// Where it is to be changed: the lock of its folder, for which other commands wait.
    _turn: Option<File>,
}

impl UsersFile {
    /// Reads a file that can be used.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let (text, known) = load_users(path).map_err(|error| error.to_string())?;
        let document = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), document, known, _turn: None })
    }

    /// Reads a file that can be used, or begins one.
    pub(super) fn open_or_new(path: &Path) -> Result<Self, String> {
        if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let document = DocumentMut::new();
            return Ok(Self { path: path.to_owned(), document, known: Vec::new(), _turn: None });
        }
        Self::open(path)
    }

    /// Opens a file by one of these when no other command changes it, none of which does until it is dropped.
    pub(super) fn change(
        path: &Path,
        open: impl FnOnce(&Path) -> Result<Self, String>,
    ) -> Result<Self, String> {
        let turn = take_turn(path)
            .map_err(|error| format!("realmkeeper: cannot lock the folder of {}: {error}", path.display()))?;
        Ok(Self { _turn: Some(turn), ..open(path)? })
    }

    /// Who stands in it: the authid, the role, and the methods of authentication.
    pub(super) fn users(&self) -> impl Iterator<Item = [String; 3]> {
        self.known.iter().map(|known| {
            let methods = known.credentials.methods().map(|method| method.name()).collect::<Vec<_>>();
            [known.authid.clone(), known.role.clone(), methods.join(", ")]
        })
    }

    /// Fails if somebody does not stand in it.
    pub(super) fn expect(&mut self, authid: &str) -> Result<(), String> {
        self.user(authid).map(|_| ())
    }

    /// Adds somebody, still without credentials.
    pub(super) fn add(&mut self, authid: &str, role: &str) -> Result<(), String> {
        if self.known.iter().any(|known| known.authid == authid) {
            return Err(format!("realmkeeper: {authid:?} is in {} already", self.path.display()));
        }
        let mut user = Table::new();
        user.insert("authid", value(authid));
        user.insert("role", value(role));
        let is_first =
            self.document.is_empty() && self.document.trailing().as_str().is_none_or(str::is_empty);
        user.decor_mut().set_prefix(if is_first { format!("{HEAD}\n") } else { "\n".into() });
        self.list()?.push(user);
        Ok(())
    }

    /// Takes somebody out.
    pub(super) fn remove(&mut self, authid: &str) -> Result<(), String> {
        self.user(authid)?;
        self.list()?.retain(|user| !is_of(user, authid));
        Ok(())
    }

    /// Puts what is derived of a password in the place of any other.
    pub(super) fn set_password(&mut self, authid: &str, password: &str) -> Result<(), String> {
        if password.is_empty() {
            return Err("realmkeeper: the password is empty; must have at least one character".into());
        }
        let salting = Salting {
            salt: BASE64_STANDARD.encode(rand::random::<[u8; 16]>()).into(),
            iterations: CRA_ITERATIONS,
            key_length: 32,
        };
        let scram = scram::Keys::derive(password, &rand::random::<[u8; 16]>(), Kdf::default())
            .map_err(|error| format!("realmkeeper: {error}"))?;
        let user = self.user(authid)?;
        for key in BY_PASSWORD {
            user.remove(key);
        }
        user.insert("ticket_hash", value(Ticket::hash_of(password, &rand::random())));
        user.insert("cra", value(cra_table(&cra::derive(password, &salting), &salting)));
        user.insert("scram", value(scram_table(&scram)));
        Ok(())
    }

    /// Adds a public key.
    pub(super) fn add_key(&mut self, authid: &str, key: &PublicKey) -> Result<(), String> {
        self.array(authid, "public_keys")?.push(key.to_string());
        Ok(())
    }

    /// Removes a public key.
    pub(super) fn remove_key(&mut self, authid: &str, key: &PublicKey) -> Result<(), String> {
        let keys = self.array(authid, "public_keys")?;
        let before = keys.len();
        let is_it = |value: &Value| value.as_str().and_then(|text| text.parse().ok()) == Some(*key);
        keys.retain(|value| !is_it(value));
        if keys.len() == before {
            return Err(format!("realmkeeper: {authid:?} does not have the public key {key}"));
        }
        if keys.is_empty() {
            self.user(authid)?.remove("public_keys");
        }
        Ok(())
    }

    /// Adds a name in a certificate.
    pub(super) fn add_certificate(&mut self, authid: &str, name: &CertificateName) -> Result<(), String> {
        self.array(authid, "certificates")?.push(name.to_string());
        Ok(())
    }

    /// Puts the file in the place of the one that there is, at once and whole, if it can be used.
    pub(super) fn save(self) -> Result<(), String> {
        let Self { path, document, .. } = &self;
        let text = document.to_string();
        read_users(path, &text).map_err(|error| error.to_string())?;
        replace(path, &text).map_err(|error| format!("realmkeeper: cannot write {}: {error}", path.display()))
    }

    fn list(&mut self) -> Result<&mut ArrayOfTables, String> {
        let item = self.document.entry("principals").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or_else(|| {
            format!(
                "realmkeeper: cannot change {}: write each user under [[principals]]",
                self.path.display()
            )
        })
    }

    fn user(&mut self, authid: &str) -> Result<&mut Table, String> {
        let nobody = format!("realmkeeper: there is no {authid:?} in {}", self.path.display());
        self.list()?.iter_mut().find(|user| is_of(user, authid)).ok_or(nobody)
    }

    fn array(&mut self, authid: &str, key: &str) -> Result<&mut Array, String> {
        let item = self.user(authid)?.entry(key).or_insert(value(Array::new()));
        // A file that could be read has no other value there.
        item.as_array_mut().ok_or_else(|| format!("realmkeeper: {key} of {authid:?} is no list"))
    }
}

fn is_of(user: &Table, authid: &str) -> bool {
    user.get("authid").and_then(Item::as_str) == Some(authid)
}

fn cra_table(key: &str, salting: &Salting) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("salt", (&*salting.salt).into());
    table.insert("iterations", i64::from(salting.iterations).into());
    table.insert("keylen", i64::from(salting.key_length).into());
    table.insert("key", key.into());
    table
}

fn scram_table(keys: &scram::Keys) -> InlineTable {
    let (kdf, (stored, server)) = (keys.kdf(), keys.stored_and_server());
    let mut table = InlineTable::new();
    table.insert("kdf", kdf.name().into());
    table.insert("salt", keys.salt().into());
    table.insert("iterations", i64::from(kdf.iterations()).into());
    if let Some(memory) = kdf.memory() {
        table.insert("memory", i64::from(memory).into());
    }
    table.insert("stored_key", BASE64_STANDARD.encode(stored).into());
    table.insert("server_key", BASE64_STANDARD.encode(server).into());
    table
}

/// The file that is written, which is what a link points to, and its folder.
fn target(path: &Path) -> (PathBuf, PathBuf) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    (target, folder)
}

/// Locks the folder of a file: the file itself is another one after each change.
fn take_turn(path: &Path) -> io::Result<File> {
    let folder = File::open(target(path).1)?;
    folder.lock()?;
    Ok(folder)
}

/// Writes a file for its owner alone, who is the one of the file that is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (path, folder) = target(path);
    let mut file = NamedTempFile::new_in(&folder)?;
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    if let Ok(before) = fs::metadata(&path) {
        fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name lasts too.
    File::open(folder)?.sync_all()
}
