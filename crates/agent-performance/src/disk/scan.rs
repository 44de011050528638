//! What the files of a folder take.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Names looked at, over all folders. Ours hold some hundreds; where there are more, the rest is not counted rather than
/// every second spent on counting.
const MAX_NAMES: usize = 4096;

/// How deep folders are looked into.
const MAX_DEPTH: usize = 4;

/// What the files in and below `folder` take on the disk, in bytes; nothing where it is not there or can't be read.
/// Links are not followed, and after 4,096 names the rest goes uncounted. Blocks.
pub fn folder_bytes(folder: &Path) -> u64 {
    let mut names = MAX_NAMES;
    below(folder, MAX_DEPTH, &mut names)
}

fn below(folder: &Path, depth: usize, names: &mut usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let mut bytes = 0_u64;
    for entry in entries.flatten() {
        if *names == 0 {
            break;
        }
        *names -= 1;
        // Of the link, not of what it points to.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && depth > 0 {
            bytes = bytes.saturating_add(below(&entry.path(), depth - 1, names));
        } else if about.is_file() {
            bytes = bytes.saturating_add(size_of(&about));
        }
    }
    bytes
}

/// What a file takes: its blocks, or its length where that is more (some file systems tell blocks late).
fn size_of(about: &std::fs::Metadata) -> u64 {
    about.len().max(about.blocks().saturating_mul(512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_count_and_links_do_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(folder_bytes(&folder.path().join("none")), 0);
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/a"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("deep/up")).unwrap();
        let bytes = folder_bytes(folder.path());
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_folder_with_too_many_names_costs_no_more_time() {
        let folder = tempfile::tempdir().unwrap();
        for name in 0..MAX_NAMES + 50 {
            std::fs::write(folder.path().join(name.to_string()), b"x").unwrap();
        }
        let mut names = MAX_NAMES;
        assert!(below(folder.path(), 0, &mut names) > 0);
        assert_eq!(names, 0);
    }
}
