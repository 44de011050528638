//! Whether a program that the configuration names is what its owner put there.

use std::path::Path;

/// Whether nobody but this user and root can put another program in the place of the one at `path`: it is an executable file, and neither it nor a
/// folder or link on the way to it belongs to others or may be written by them.
///
/// # Errors
/// What is wrong with it, to be read after "the program", and what would be right.
#[cfg(unix)]
pub fn check_program(path: &Path) -> Result<(), (String, String)> {
    use crate::files::FileFault;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    let absent = |error: std::io::Error| {
        let fault = FileFault::from(error);
        (fault.to_string(), fault.valid(path))
    };
    let real = fs::canonicalize(path).map_err(absent)?;
    let about = fs::metadata(&real).map_err(absent)?;
    if !about.is_file() || about.mode() & 0o111 == 0 {
        return Err((
            "is not an executable file".to_owned(),
            "the path of a program".to_owned(),
        ));
    }
    let me = rustix::process::geteuid().as_raw();
    // As it is named, for the links on the way; and where they lead.
    for place in path.ancestors().chain(real.ancestors()) {
        let about = fs::symlink_metadata(place).map_err(absent)?;
        let what = match about.file_type() {
            kind if kind.is_dir() => "is in a folder that ",
            kind if kind.is_symlink() => "is reached by a link that ",
            _ => "",
        };
        let owner = about.uid();
        if owner != me && owner != 0 {
            let valid = "a program of this user's or of root's, in folders of theirs";
            return Err((
                format!("{what}belongs to another user (number {owner})"),
                format!("{valid} ({})", place.display()),
            ));
        }
        // A link has no mode of its own. In a folder with the sticky bit others may add files, but neither change nor replace ours.
        let sticky = about.is_dir() && about.mode() & 0o1000 != 0;
        if about.mode() & 0o022 != 0 && !sticky && !about.is_symlink() {
            return Err((
                format!(
                    "{what}may be written by other users (mode {:04o})",
                    about.mode() & 0o7777
                ),
                format!(
                    "one that only its owner may write (type: chmod go-w '{}')",
                    place.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Windows keeps programs by access lists that folders inherit; there is no mode to look at.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn check_program(_: &Path) -> Result<(), (String, String)> {
    Ok(())
}
