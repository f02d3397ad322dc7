//! Unix domain sockets in the file system.

use crate::UnixSocket;
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The file of a socket. It is removed when this is dropped, unless somebody has put another in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Its device and its number.
    is: (u64, u64),
}

/// The folder of a socket.
pub(super) fn folder(wanted: &UnixSocket) -> io::Result<PathBuf> {
    let folder = wanted.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::canonicalize(folder.unwrap_or(Path::new(".")))
}

/// How long another process may keep a folder of sockets.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits so long at most until no other router makes sockets in a folder, and keeps it for this one until what is given is
/// dropped.
pub(super) fn reserve(folder: &Path, patience: Duration) -> io::Result<File> {
    let (folder, start) = (File::open(folder)?, Instant::now());
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                let problem = format!("another process has kept its folder locked for {patience:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
        }
    }
}

/// A socket with the file that is asked for, owned by whom it is asked for. Nobody can connect before it listens; until
/// then its folder has to be [reserved](reserve), as another router would take it for one that was left over.
pub(super) fn bind(wanted: &UnixSocket) -> io::Result<(Socket, SocketFile)> {
    let UnixSocket { path, mode, user, group } = wanted;
    let address = SockAddr::unix(path)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.clone(), is: (metadata.dev(), metadata.ino()) };
    if user.is_some() || group.is_some() {
        chown(path, *user, *group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
    Ok((socket, file))
}

/// Removes the file of a socket on which nobody listens any more.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Who takes no connections is not waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_this = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino()) == self.is;
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| is_this(&metadata)) {
            // What cannot be removed is stale for the next who listens.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::listen::{Place, listen},
        *,
    };
    use nix::unistd;
    use std::{
        env,
        os::unix::net::{UnixListener, UnixStream},
        process,
        sync::Barrier,
    };

    /// A socket at a path of its own.
    fn wanted(name: &str) -> UnixSocket {
        let path = env::temp_dir().join(format!("realmkeeper-{}-{name}", process::id()));
        UnixSocket { path, mode: 0o640, user: None, group: None }
    }

    /// Why there can be no socket.
    fn refusal(wanted: &UnixSocket) -> String {
        bind(wanted).expect_err("there is no socket").to_string()
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_file() {
        let wanted = wanted("mode");
        let (socket, file) = bind(&wanted).unwrap();
        assert_eq!(fs::metadata(&wanted.path).unwrap().permissions().mode() & 0o777, 0o640);
        let error = UnixStream::connect(&wanted.path).expect_err("nobody listens yet");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        socket.listen(1).unwrap();
        assert_eq!(refusal(&wanted), "another process listens there");
        drop(file);
        assert!(!wanted.path.exists());
    }

    #[test]
    fn a_socket_belongs_to_whom_it_is_given() {
        let other = unistd::geteuid().is_root().then_some(4711);
        let (user, group) = (unistd::geteuid().as_raw(), unistd::getegid().as_raw());
        let (user, group) = (other.unwrap_or(user), other.unwrap_or(group));
        let wanted = UnixSocket { user: Some(user), group: Some(group), ..wanted("owner") };
        let (_socket, _file) = bind(&wanted).unwrap();
        let metadata = fs::metadata(&wanted.path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (user, group));
    }

    #[test]
    fn a_stale_socket_gives_way_and_nothing_else_does() {
        let wanted = wanted("stale");
        let (socket, file) = bind(&wanted).unwrap();
        drop(socket);
        std::mem::forget(file);
        let (socket, file) = bind(&wanted).unwrap();
        drop((socket, file));
        fs::write(&wanted.path, "precious").unwrap();
        assert_eq!(refusal(&wanted), "there is a file that is no socket");
        assert_eq!(fs::read_to_string(&wanted.path).unwrap(), "precious");
        fs::remove_file(&wanted.path).unwrap();
    }

    #[test]
    fn who_listens_and_takes_nobody_is_not_waited_for() {
        let wanted = wanted("full");
        let (socket, _file) = bind(&wanted).unwrap();
        socket.listen(0).unwrap();
        let _waits = UnixStream::connect(&wanted.path).unwrap();
        assert_eq!(refusal(&wanted), "another process listens there");
    }

    #[test]
    fn a_folder_that_another_keeps_is_waited_for_no_longer_than_is_said() {
        let folder = env::temp_dir().join(format!("realmkeeper-{}-kept", process::id()));
        fs::create_dir(&folder).unwrap();
        let kept = reserve(&folder, PATIENCE).unwrap();
        let refusal = reserve(&folder, Duration::from_millis(20)).expect_err("it is kept").to_string();
        assert_eq!(refusal, "another process has kept its folder locked for 20ms");
        drop(kept);
        reserve(&folder, PATIENCE).unwrap();
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn one_of_two_that_start_at_once_has_the_socket() {
        let wanted = wanted("race");
        for _ in 0..200 {
            // Both find one on which nobody listens.
            drop(UnixListener::bind(&wanted.path).unwrap());
            let together = Barrier::new(2);
            let start = || {
                let places = [Place::Unix(wanted.clone())];
                together.wait();
                listen(&places)
            };
            let (one, other) = thread::scope(|scope| {
                let one = scope.spawn(start);
                (start(), one.join().unwrap())
            });
            let text =
                format!("cannot listen on unix:{}: another process listens there", wanted.path.display());
            let (bound, refused) = if one.is_ok() { (one, other) } else { (other, one) };
            assert_eq!(refused.map(drop).map_err(|error| error.to_string()), Err(text));
            UnixStream::connect(&wanted.path).unwrap();
            drop(bound.unwrap());
            assert!(!wanted.path.exists());
        }
    }

    #[test]
    fn the_socket_of_another_is_left_to_it() {
        let wanted = wanted("other");
        let (_socket, file) = bind(&wanted).unwrap();
        fs::remove_file(&wanted.path).unwrap();
        let (_other, others) = bind(&wanted).unwrap();
        drop(file);
        assert!(wanted.path.exists());
        drop(others);
        assert!(!wanted.path.exists());
    }
}
