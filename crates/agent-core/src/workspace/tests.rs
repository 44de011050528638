use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

/// `in/` is the workspace, `out/` lies beside it and holds the canary.
struct Place {
    dir: TempDir,
    workspace: Workspace,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("in/folder")).expect("a folder");
        fs::create_dir_all(dir.path().join("in-evil")).expect("a folder");
        fs::create_dir_all(dir.path().join("out")).expect("a folder");
        fs::write(dir.path().join("out/canary"), "canary").expect("a file");
        fs::write(dir.path().join("in-evil/canary"), "canary").expect("a file");
        fs::write(dir.path().join("in/folder/file"), "inside").expect("a file");
        let workspace = Workspace::open(&dir.path().join("in")).expect("a workspace");
        Self { dir, workspace }
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    fn canary(&self) -> PathBuf {
        self.dir.path().join("out/canary")
    }

    fn read(&self, requested: &str) -> Result<String, WorkspaceError> {
        let resolved = self.workspace.resolve(requested)?;
        let mut text = String::new();
        self.workspace
            .open_file(&resolved.path)?
            .file
            .read_to_string(&mut text)
            .expect("text");
        Ok(text)
    }

    fn write(&self, requested: &str, content: &str) -> Result<(), WorkspaceError> {
        let resolved = self.workspace.resolve(requested)?;
        self.workspace
            .write_file(&resolved.path, content.as_bytes())
            .map(drop)
    }

    #[track_caller]
    fn check_canaries(&self) {
        let mut canary = String::new();
        File::open(self.canary())
            .and_then(|mut file| file.read_to_string(&mut canary))
            .expect("the canary");
        assert_eq!(canary, "canary");
        assert_eq!(
            fs::read_dir(self.dir.path().join("out"))
                .expect("the folder")
                .count(),
            1
        );
        assert_eq!(
            fs::read_dir(self.dir.path().join("in-evil"))
                .expect("the folder")
                .count(),
            1
        );
    }
}

#[test]
fn links_that_stay_inside_are_followed_and_resolved_to_the_real_name() {
    let place = Place::new();
    symlink("file", place.inside("folder/beside")).expect("a link");
    symlink("folder", place.inside("other")).expect("a link");
    symlink("../other/beside", place.inside("folder/round")).expect("a link");
    symlink(place.workspace.root().join("folder"), place.inside("absolute")).expect("a link");
    symlink("folder/new", place.inside("to-new")).expect("a link");
    let cases = [
        ("folder/file", "folder/file"),
        ("./folder//file", "folder/file"),
        ("folder/../folder/file", "folder/file"),
        ("folder/beside", "folder/file"),
        ("other/file", "folder/file"),
        ("folder/round", "folder/file"),
        ("absolute/round", "folder/file"),
        (".", "."),
        ("other", "folder"),
        ("missing/below", "missing/below"),
        ("other/missing", "folder/missing"),
        ("to-new", "folder/new"),
    ];
    for (requested, expected) in cases {
        let resolved = place.workspace.resolve(requested).expect(requested);
        assert_eq!(resolved.path.as_str(), expected, "{requested}");
    }
    let absolute = place.inside("folder/file");
    assert_eq!(
        place.read(absolute.to_str().expect("UTF-8")).expect("inside"),
        "inside"
    );
    assert_eq!(place.read("absolute/round").expect("inside"), "inside");
}

#[test]
fn every_way_out_is_refused_for_reading_and_writing() {
    let place = Place::new();
    symlink("../out", place.inside("out")).expect("a link");
    symlink("../out/canary", place.inside("canary")).expect("a link");
    symlink(place.canary(), place.inside("absolute")).expect("a link");
    symlink("canary", place.inside("twice")).expect("a link");
    symlink("../../out/canary", place.inside("folder/up")).expect("a link");
    symlink("/", place.inside("root")).expect("a link");
    symlink("../in-evil", place.inside("evil")).expect("a link");
    symlink("/proc/self/cwd", place.inside("magic")).expect("a link");
    let canary = place.canary();
    let evil = place.dir.path().join("in-evil/canary");
    let cases = [
        "../out/canary",
        "folder/../../out/canary",
        canary.to_str().expect("UTF-8"),
        evil.to_str().expect("UTF-8"),
        "/etc/passwd",
        "out/canary",
        "out/new",
        "canary",
        "absolute",
        "twice",
        "folder/up",
        "root/etc/passwd",
        "evil/canary",
        "evil/new",
        "magic/canary",
        "folder/file\0",
        "folder/\u{202E}elif",
    ];
    for requested in cases {
        let error = place.read(requested).expect_err(requested).to_string();
        assert!(!error.is_empty());
        place.write(requested, "overwritten").expect_err(requested);
    }
    place.check_canaries();
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let place = Place::new();
    symlink("b", place.inside("a")).expect("a link");
    symlink("a", place.inside("b")).expect("a link");
    symlink("../out", place.inside("out")).expect("a link");
    let cases = [
        (
            "nothing",
            "nothing does not exist in the workspace; look with list_directory or glob",
        ),
        (
            "folder",
            "folder is a folder, not a regular file; use list_directory",
        ),
        ("folder/file/x", "folder/file is a file, not a folder"),
        ("a", "a goes through more than 40 symbolic links"),
        (
            "out/canary",
            "out is a symbolic link to ../out, which leads out of the workspace",
        ),
        ("", "the path is empty"),
    ];
    for (requested, expected) in cases {
        let error = place.read(requested).expect_err(requested).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = Workspace::open(&place.inside("nothing"))
        .expect_err("it is not there")
        .to_string();
    assert!(
        error.contains("can't be opened") && error.contains("give an existing folder"),
        "{error}"
    );
    Workspace::open(&place.inside("folder/file")).expect_err("a file is no workspace");
}

#[test]
fn troubles_with_the_disk_come_with_a_remedy() {
    use std::io::ErrorKind;
    let cases = [
        (
            ErrorKind::StorageFull,
            "a/b could not be written: no storage space; nothing was changed. The disk is full",
        ),
        (
            ErrorKind::ReadOnlyFilesystem,
            "The file system is read-only: tell the user",
        ),
        (
            ErrorKind::PermissionDenied,
            "permission denied; the agent has no permission for that: tell the user",
        ),
    ];
    for (kind, expected) in cases {
        let error = WorkspaceError::Io {
            path: "a/b".into(),
            doing: "written",
            source: kind.into(),
        }
        .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_resolved_path_that_became_a_link_is_refused() {
    let place = Place::new();
    fs::write(place.inside("file"), "inside").expect("a file");
    let file = place.workspace.resolve("file").expect("inside").path;
    let below = place.workspace.resolve("folder/file").expect("inside").path;
    fs::remove_file(place.inside("file")).expect("removed");
    symlink(place.canary(), place.inside("file")).expect("a link");
    fs::rename(place.inside("folder"), place.inside("was-folder")).expect("renamed");
    symlink("../out", place.inside("folder")).expect("a link");
    for path in [&file, &below] {
        let error = place.workspace.open_file(path).expect_err("a link").to_string();
        assert!(error.contains("changed while it was being opened"), "{error}");
        let error = place
            .workspace
            .write_file(path, b"overwritten")
            .expect_err("a link")
            .to_string();
        assert!(error.contains("nothing was done"), "{error}");
    }
    place.check_canaries();
}

#[test]
fn a_link_swapped_in_a_loop_never_leads_out() {
    const ROUNDS: usize = 5000;
    const PATIENCE: Duration = Duration::from_secs(10);
    let place = Place::new();
    let stop = AtomicBool::new(false);
    let (mut seen, mut refused) = ([0; 2], [0; 2]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The other actor: the same two names are now a file and a folder inside, now links to the outside.
            let (swap, target, folder) = (place.inside("swap"), place.inside("target"), place.inside("deep"));
            while !stop.load(Ordering::Relaxed) {
                let _inside = File::create_new(&swap)
                    .and_then(|mut file| file.write_all(b"inside"))
                    .and_then(|()| fs::rename(&swap, &target));
                let _unlinked = fs::remove_file(&folder);
                let _inside =
                    fs::create_dir(&folder).and_then(|()| fs::write(folder.join("canary"), "inside"));
                std::thread::yield_now();
                let _outside = symlink(place.canary(), &swap).and_then(|()| fs::rename(&swap, &target));
                let _outside = fs::remove_dir_all(&folder).and_then(|()| symlink("../out", &folder));
                let _left_over = fs::remove_file(&swap);
                std::thread::yield_now();
            }
        });
        let both_met = |seen: &[i32], refused: &[i32]| seen.iter().chain(refused).all(|times| *times > 0);
        let started = Instant::now();
        let mut round = 0;
        // On a busy machine the honest side may need more rounds to be met at all.
        while round < ROUNDS || (!both_met(&seen, &refused) && started.elapsed() < PATIENCE) {
            round += 1;
            for (at, name) in ["target", "deep/canary"].into_iter().enumerate() {
                match place.read(name) {
                    // Empty: between making the file and writing it.
                    Ok(text) => {
                        assert!(
                            text == "inside" || text == "written" || text.is_empty(),
                            "{name} read {text:?}"
                        );
                        seen[at] += 1;
                    }
                    Err(_) => refused[at] += 1,
                }
                if round % 3 == 0 {
                    let _refused_or_not = place.write(name, "written");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });

    // Both sides of the race were met, or the test shows nothing.
    assert!(
        seen.iter().chain(&refused).all(|times| *times > 0),
        "read {seen:?}, refused {refused:?}"
    );
    place.check_canaries();
}

#[test]
fn pipes_sockets_and_devices_are_refused_without_waiting() {
    let place = Place::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.inside("pipe"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    let _listener = std::os::unix::net::UnixListener::bind(place.inside("socket")).expect("a socket");
    for (name, kind) in [("pipe", "a named pipe"), ("socket", "a socket")] {
        let error = place.read(name).expect_err(name).to_string();
        assert!(
            error.contains(&format!("{name} is {kind}, not a regular file")),
            "{error}"
        );
        place.write(name, "x").expect_err(name);
    }
}

#[test]
fn writing_makes_folders_and_keeps_the_permission_bits() {
    let place = Place::new();
    place.write("a/b/c", "new").expect("written");
    assert_eq!(place.read("a/b/c").expect("there"), "new");
    let mode = |name: &str| {
        fs::metadata(place.inside(name))
            .expect("there")
            .permissions()
            .mode()
            & 0o7777
    };
    fs::set_permissions(place.inside("folder/file"), fs::Permissions::from_mode(0o4750)).expect("a mode");
    place.write("folder/file", "script").expect("written");
    assert_eq!(mode("folder/file"), 0o750, "bits stay, but for set-user-id");
    assert_eq!(
        fs::read_dir(place.inside("folder")).expect("a folder").count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn a_write_protected_file_is_not_replaced() {
    let place = Place::new();
    fs::set_permissions(place.inside("folder/file"), fs::Permissions::from_mode(0o444)).expect("a mode");
    let error = place
        .write("folder/file", "x")
        .expect_err("protected")
        .to_string();
    assert!(
        error.contains("write-protected") && error.contains("chmod u+w"),
        "{error}"
    );
    assert_eq!(place.read("folder/file").expect("there"), "inside");
}

#[test]
fn a_failed_write_leaves_the_old_content_and_no_litter() {
    let place = Place::new();
    // Longer than any file system takes, but only together with nothing else wrong: the name is refused early.
    place.write(&"x".repeat(300), "x").expect_err("too long");
    // The target becomes a folder after it was resolved: the rename can't replace it.
    let path = place.workspace.resolve("folder/file").expect("inside").path;
    fs::remove_file(place.inside("folder/file")).expect("removed");
    fs::create_dir(place.inside("folder/file")).expect("a folder");
    place
        .workspace
        .write_file(&path, b"x")
        .expect_err("a folder is there");
    assert_eq!(fs::read_dir(place.inside("folder")).expect("a folder").count(), 1);
}
