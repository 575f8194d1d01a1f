//! A disk as a power cut leaves it: which of the changes that a program made are lost, as far as it has not synced them.
//!
//! strace lists every call by which the program changes a folder. The model applies them one after the other, and can put
//! the folder back as it would be found had the power failed right after any of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The calls that change what is on disk, and those that the meaning of these depends on.
pub const TRACED: &str = "openat,close,lseek,write,pwrite64,ftruncate,copy_file_range,sendfile,fsync,fdatasync,rename,\
    renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat";

/// What a power cut takes.
#[derive(Clone, Copy, Debug)]
pub enum Lost {
    /// Everything that was not synced: the content of files, and the names in folders.
    All,
    /// Content only: the names survive, as where a file system writes its journal and not yet the data.
    Content,
}

type Entries = BTreeMap<OsString, usize>;

#[derive(Clone, Debug)]
enum Node {
    Folder {
        now: Entries,
        synced: Entries,
    },
    File {
        now: Vec<u8>,
        synced: Vec<u8>,
        mode: u32,
    },
    Link(PathBuf),
}

/// A file that the program has open.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: usize,
    at: usize,
    append: bool,
}

/// A folder in memory.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    open: HashMap<i64, Open>,
}

impl Disk {
    /// Reads `root`, all of which is on disk.
    pub fn of(root: &Path) -> Disk {
        let mut disk = Disk {
            root: root.to_owned(),
            nodes: Vec::new(),
            open: HashMap::new(),
        };
        disk.read(root);
        disk
    }

    fn read(&mut self, path: &Path) -> usize {
        let metadata = fs::symlink_metadata(path).unwrap();
        let node = self.nodes.len();
        if metadata.is_dir() {
            let (now, synced) = (Entries::new(), Entries::new());
            self.nodes.push(Node::Folder { now, synced });
            let mut found = Entries::new();
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                found.insert(entry.file_name(), self.read(&entry.path()));
            }
            let (now, synced) = (found.clone(), found);
            self.nodes[node] = Node::Folder { now, synced };
        } else if metadata.is_symlink() {
            self.nodes.push(Node::Link(fs::read_link(path).unwrap()));
        } else {
            let now = fs::read(path).unwrap();
            let (synced, mode) = (now.clone(), metadata.permissions().mode());
            self.nodes.push(Node::File { now, synced, mode });
        }
        node
    }

    /// Puts the folder on disk as a power cut leaves it.
    pub fn restore(&self, lost: Lost) {
        for entry in fs::read_dir(&self.root).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        self.write(0, &self.root, lost);
    }

    fn write(&self, node: usize, path: &Path, lost: Lost) {
        match &self.nodes[node] {
            Node::Folder { now, synced } => {
                let entries = match lost {
                    Lost::All => synced,
                    Lost::Content => now,
                };
                if node != 0 {
                    fs::create_dir(path).unwrap();
                    fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
                }
                for (name, node) in entries {
                    self.write(*node, &path.join(name), lost);
                }
            }
            Node::File { synced, mode, .. } => {
                // What is open for writing here cannot be run, also where another test is just starting a child.
                match mode & 0o111 {
                    0 => fs::write(path, synced).unwrap(),
                    _ => super::files::executable(path, synced),
                }
                fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
            }
            Node::Link(target) => symlink(target, path).unwrap(),
        }
    }

    /// Asserts that the model has what the disk has: that no change was missed.
    #[track_caller]
    pub fn assert_is_on_disk(&self) {
        let real = Disk::of(&self.root);
        assert_eq!(
            self.picture(0, Path::new("")),
            real.picture(0, Path::new(""))
        );
    }

    fn picture(&self, node: usize, path: &Path) -> Vec<(PathBuf, String)> {
        match &self.nodes[node] {
            Node::Folder { now, .. } => {
                let below = now
                    .iter()
                    .flat_map(|(name, node)| self.picture(*node, &path.join(name)));
                [(path.to_owned(), "folder".to_owned())]
                    .into_iter()
                    .chain(below)
                    .collect()
            }
            Node::File { now, .. } => {
                vec![(path.to_owned(), String::from_utf8_lossy(now).into_owned())]
            }
            Node::Link(target) => vec![(path.to_owned(), format!("link to {}", target.display()))],
        }
    }

    /// Applies a line of strace; returns whether it changed anything.
    pub fn apply(&mut self, line: &str) -> bool {
        let Some(call) = Call::parse(line) else {
            return false;
        };
        self.applied(&call).is_some()
    }

    fn applied(&mut self, call: &Call) -> Option<()> {
        match call.name {
            "openat" => return self.opened(call),
            "close" => {
                self.open.remove(&call.descriptor(0)?);
                return None;
            }
            "lseek" => {
                self.open.get_mut(&call.descriptor(0)?)?.at = usize::try_from(call.result).ok()?;
                return None;
            }
            "write" => {
                let bytes = call.bytes(1)?;
                self.written(call.descriptor(0)?, &bytes, None)?;
            }
            "pwrite64" => {
                let (bytes, at) = (call.bytes(1)?, call.args.get(3)?.parse().ok()?);
                self.written(call.descriptor(0)?, &bytes, Some(at))?;
            }
            "copy_file_range" | "sendfile" => {
                let (from, to) = match call.name {
                    "sendfile" => (1, 0),
                    _ => (0, 2),
                };
                let length = usize::try_from(call.result)
                    .ok()
                    .filter(|length| *length > 0)?;
                let source = self.open.get_mut(&call.descriptor(from)?)?;
                let (node, at) = (source.node, source.at);
                source.at += length;
                let Node::File { now, .. } = &self.nodes[node] else {
                    return None;
                };
                let bytes = now[at..at + length].to_vec();
                self.written(call.descriptor(to)?, &bytes, None)?;
            }
            "ftruncate" => {
                let (node, length) = (
                    self.open.get(&call.descriptor(0)?)?.node,
                    call.args.get(1)?.parse().ok()?,
                );
                let Node::File { now, .. } = &mut self.nodes[node] else {
                    return None;
                };
                now.resize(length, 0);
            }
            "fsync" | "fdatasync" => {
                let node = self.open.get(&call.descriptor(0)?)?.node;
                match &mut self.nodes[node] {
                    Node::Folder { now, synced } => synced.clone_from(now),
                    Node::File { now, synced, .. } => synced.clone_from(now),
                    Node::Link(_) => {}
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let at = call.name != "rename";
                let (from, to) = match at {
                    true => (call.path_at(0)?, call.path_at(2)?),
                    false => (call.path(0)?, call.path(1)?),
                };
                let node = self.remove(&from)?;
                self.insert(&to, node)?;
            }
            "link" | "linkat" => {
                let (from, to) = match call.name {
                    "linkat" => (call.path_at(0)?, call.path_at(2)?),
                    _ => (call.path(0)?, call.path(1)?),
                };
                let node = self.find(&from)?;
                self.insert(&to, node)?;
            }
            "symlink" | "symlinkat" => {
                let path = match call.name {
                    "symlinkat" => call.path_at(1)?,
                    _ => call.path(1)?,
                };
                let target = OsString::from_vec(call.bytes(0)?);
                let node = self.add(Node::Link(target.into()));
                self.insert(&path, node)?;
            }
            "unlink" | "rmdir" => drop(self.remove(&call.path(0)?)?),
            "unlinkat" => drop(self.remove(&call.path_at(0)?)?),
            "mkdir" | "mkdirat" => {
                let path = match call.name {
                    "mkdirat" => call.path_at(0)?,
                    _ => call.path(0)?,
                };
                let (now, synced) = (Entries::new(), Entries::new());
                let node = self.add(Node::Folder { now, synced });
                self.insert(&path, node)?;
            }
            "chmod" | "fchmod" | "fchmodat" => {
                let (node, mode) = match call.name {
                    "fchmod" => (self.open.get(&call.descriptor(0)?)?.node, call.args.get(1)?),
                    "fchmodat" => (self.find(&call.path_at(0)?)?, call.args.get(2)?),
                    _ => (self.find(&call.path(0)?)?, call.args.get(1)?),
                };
                if let Node::File { mode: of, .. } = &mut self.nodes[node] {
                    *of = u32::from_str_radix(mode, 8).unwrap();
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn opened(&mut self, call: &Call) -> Option<()> {
        let (path, flags) = (call.path_at(0)?, call.args.get(2)?.as_str());
        let has = |flag: &str| flags.split('|').any(|other| other == flag);
        let mut changed = None;
        let node = match self.find(&path) {
            Some(node) => node,
            None if has("O_CREAT") => {
                let mode = call
                    .args
                    .get(3)
                    .and_then(|mode| u32::from_str_radix(mode, 8).ok());
                let (now, synced, mode) = (Vec::new(), Vec::new(), mode.unwrap_or(0o644));
                let node = self.add(Node::File { now, synced, mode });
                self.insert(&path, node)?;
                changed = Some(());
                node
            }
            None => return None,
        };
        if let (true, Node::File { now, .. }) = (has("O_TRUNC"), &mut self.nodes[node]) {
            now.clear();
            changed = Some(());
        }
        let append = has("O_APPEND");
        self.open.insert(
            call.result,
            Open {
                node,
                at: 0,
                append,
            },
        );
        changed
    }

    fn written(&mut self, descriptor: i64, bytes: &[u8], at: Option<usize>) -> Option<()> {
        let open = self.open.get_mut(&descriptor)?;
        let Node::File { now, .. } = &mut self.nodes[open.node] else {
            return None;
        };
        let start = match (at, open.append) {
            (Some(at), _) => at,
            (None, true) => now.len(),
            (None, false) => open.at,
        };
        let end = start + bytes.len();
        now.resize(now.len().max(end), 0);
        now[start..end].copy_from_slice(bytes);
        if at.is_none() {
            open.at = end;
        }
        Some(())
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Returns what is at `path`, whose folders may be links; `None` outside of the root too.
    fn find(&self, path: &Path) -> Option<usize> {
        let below = path.strip_prefix(&self.root).ok()?;
        let mut node = 0;
        let mut here = self.root.clone();
        let mut left: Vec<&OsStr> = below.iter().collect();
        left.reverse();
        while let Some(name) = left.pop() {
            if let Node::Link(target) = &self.nodes[node] {
                let target = here.parent()?.join(target);
                let rest: PathBuf = [name].into_iter().chain(left.into_iter().rev()).collect();
                return self.find(&target.join(rest));
            }
            let Node::Folder { now, .. } = &self.nodes[node] else {
                return None;
            };
            node = *now.get(name)?;
            here.push(name);
        }
        Some(node)
    }

    fn entries(&mut self, path: &Path) -> Option<(&mut Entries, OsString)> {
        let mut folder = self.find(path.parent()?)?;
        if let Node::Link(target) = &self.nodes[folder] {
            let target = path.parent()?.parent()?.join(target);
            folder = self.find(&target)?;
        }
        match &mut self.nodes[folder] {
            Node::Folder { now, .. } => Some((now, path.file_name()?.to_owned())),
            _ => None,
        }
    }

    fn insert(&mut self, path: &Path, node: usize) -> Option<()> {
        let (entries, name) = self.entries(path)?;
        entries.insert(name, node);
        Some(())
    }

    fn remove(&mut self, path: &Path) -> Option<usize> {
        let (entries, name) = self.entries(path)?;
        entries.remove(&name)
    }
}

/// A call that succeeded, as `strace -y -xx` prints it.
struct Call<'a> {
    name: &'a str,
    args: Vec<String>,
    result: i64,
}

impl Call<'_> {
    fn parse(line: &str) -> Option<Call<'_>> {
        let (name, rest) = line.split_once('(')?;
        let (args, result) = rest.rsplit_once(") = ")?;
        let digits = result
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(result.len());
        // A failure begins with a minus sign.
        let result = result[..digits].parse().ok()?;
        // Strings and paths are hexadecimal, so a comma always separates.
        let args = args
            .split(", ")
            .map(|arg| arg.trim_end().to_owned())
            .collect();
        Some(Call { name, args, result })
    }

    /// Returns the string at `index`.
    fn bytes(&self, index: usize) -> Option<Vec<u8>> {
        let text = self.args.get(index)?.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(text))
    }

    fn path(&self, index: usize) -> Option<PathBuf> {
        Some(OsString::from_vec(self.bytes(index)?).into())
    }

    /// Returns the path of the name that follows the descriptor of a folder at `index`.
    fn path_at(&self, index: usize) -> Option<PathBuf> {
        let (_, folder) = self.args.get(index)?.split_once('<')?;
        let folder = unescape(folder.split_once('>')?.0);
        Some(Path::new(OsStr::from_bytes(&folder)).join(self.path(index + 1)?))
    }

    fn descriptor(&self, index: usize) -> Option<i64> {
        let text = self.args.get(index)?;
        text.split('<').next()?.parse().ok()
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.split("\\x").skip(1);
    bytes
        .map(|hex| u8::from_str_radix(hex, 16).unwrap())
        .collect()
}
