//! Applies edits to the downloaded source of a crate at build time: for the build.rs of `dcsctp-patched` and
//! `dimpl-patched`.
//!
//! Where the source lies is asked of the crate itself: the build script is linked to it, and a panic inside it names the
//! file. That holds for plain, offline, vendored and cross builds, and needs no second cargo. Where paths are remapped,
//! set `<CRATE>_SOURCE` to the folder that holds its lib.rs.

use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{env, fs, panic};

/// Text of the original, and its replacement.
#[derive(Clone, Copy)]
pub struct Edit {
    pub file: &'static str,
    pub find: &'static str,
    pub put: &'static str,
    /// How often it must match, exactly. Then a new version breaks the build instead of losing a fix.
    pub times: usize,
}

pub const fn edit(file: &'static str, find: &'static str, put: &'static str) -> Edit {
    Edit { file, find, put, times: 1 }
}

/// Copy the source of `name`, and its tests, to OUT_DIR and apply `edits`. The build gets the folder as
/// `<CRATE>_EDITED`. `panics` has to panic inside the crate.
pub fn apply(name: &str, edits: &[Edit], panics: impl FnOnce() + UnwindSafe) {
    let variable = name.to_uppercase();
    for input in ["build.rs", "edits.rs", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={input}");
    }
    println!("cargo:rerun-if-env-changed={variable}_SOURCE");
    let target = PathBuf::from(env::var("OUT_DIR").expect("set by cargo")).join(name);
    let _ = fs::remove_dir_all(&target);
    let source = match env::var_os(format!("{variable}_SOURCE")) {
        Some(folder) => folder.into(),
        None => source(name, panics),
    };
    copy(&source, &target);
    let tests = source.with_file_name("tests");
    if tests.is_dir() {
        copy(&tests, &target.join("tests"));
    }
    let mut changed: Vec<&str> = Vec::new();
    for edit in edits {
        let path = target.join(edit.file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has changed: no {}", edit.file));
        let found = text.matches(edit.find).count();
        assert_eq!(found, edit.times, "{name} has changed: {}: {:?}", edit.file, edit.find);
        fs::write(&path, text.replace(edit.find, edit.put)).expect("OUT_DIR can be written");
        if !changed.contains(&edit.file) {
            changed.push(edit.file);
        }
    }
    for file in changed {
        let path = target.join(file);
        let text = fs::read_to_string(&path).expect("just written");
        // Apache License 2.0, section 4 b.
        let notice =
            format!("// Changed by the adieu project: see rust/{name}-patched/NOTICE and edits.rs.\n");
        fs::write(&path, notice + &text).expect("OUT_DIR can be written");
    }
    println!("cargo:rustc-env={variable}_EDITED={}", target.display());
}

/// The `src` folder of the crate that cargo downloaded.
fn source(name: &str, panics: impl FnOnce() + UnwindSafe) -> PathBuf {
    let file = Arc::new(Mutex::new(String::new()));
    let seen = file.clone();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if let (Some(location), Ok(mut seen)) = (info.location(), seen.lock()) {
            *seen = location.file().to_owned();
        }
    }));
    let outcome = panic::catch_unwind(panics);
    panic::set_hook(hook);
    assert!(outcome.is_err(), "{name} has changed: a function that build.rs calls no longer panics");
    let file = PathBuf::from(file.lock().expect("no panic holds it").clone());
    let source = file.ancestors().find(|folder| folder.ends_with("src")).map(Path::to_path_buf);
    match source {
        Some(source) if source.join("lib.rs").is_file() => source,
        _ => panic!(
            "the source of {name} is not where it says ({}): set {}_SOURCE to it",
            file.display(),
            name.to_uppercase()
        ),
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be written");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a file");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file").is_dir() {
            copy(&entry.path(), &target);
        } else {
            // Written anew: a vendored or downloaded file may be read-only.
            let bytes = fs::read(entry.path()).expect("a file");
            fs::write(&target, bytes).expect("the folder can be written");
        }
    }
}
