//! Files of `make_data.py`: the folder is the verdict. And bytes of any kind, which never panic.

#![allow(clippy::unwrap_used)] // a failed test says where

use std::path::Path;

use kernel_pickle::{Kind, Limits, file_name, scan, too_large};
use proptest::prelude::*;

fn corpus() -> Vec<(Kind, String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files = Vec::new();
    for kind in Kind::ALL {
        for entry in fs_err::read_dir(root.join(kind.name())).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.push((kind, name, fs_err::read(entry.path()).unwrap()));
        }
    }
    files
}

#[test]
fn every_file_gets_the_verdict_of_its_folder() {
    let files = corpus();
    assert!(files.len() > 40);
    for (kind, name, bytes) in files {
        let verdict = scan(&bytes, &name, &Limits::default());
        assert_eq!(verdict.kind, kind, "{name}: {verdict:?}");
        let all_known = verdict.globals.iter().all(|global| global.known);
        if kind == Kind::Known {
            assert!(all_known, "{name}: {verdict:?}");
        }
        if kind == Kind::Unknown && name != "lz4.joblib" {
            assert!(!all_known || !verdict.reasons.is_empty(), "{name}: {verdict:?}");
        }
    }
}

#[test]
fn an_attack_is_named() {
    let bytes = b"cos\nsystem\n(S'true'\ntR.";
    let verdict = scan(bytes, "model.pkl", &Limits::default());
    let global = &verdict.globals[0];
    assert_eq!((global.module.as_str(), global.name.as_str(), global.known), ("os", "system", false));
}

#[test]
fn a_verdict_depends_on_the_name_that_it_is_kept_by_and_does_not_repeat_it() {
    for (path, name) in
        [("a/B/Model.PKL", "model.pkl"), ("Config.JSON", "config.json"), ("É.Pt", "É.pt"), ("a/", "")]
    {
        assert_eq!(file_name(path), name);
    }
    for (_, name, bytes) in corpus() {
        let verdict = scan(&bytes, &name, &Limits::default());
        let elsewhere = format!("private/folder/{}", name.to_ascii_uppercase());
        assert_eq!(scan(&bytes, &elsewhere, &Limits::default()), verdict, "{name}");
        for reason in &verdict.reasons {
            assert!(!reason.contains(&file_name(&name)), "{name}: {reason}");
        }
    }
    let (_, name, bytes) = corpus().into_iter().find(|(_, name, _)| name == "flag.pt").unwrap();
    let verdict = scan(&bytes, &name, &Limits::default());
    let member = "data.pkl: the member says that it is encrypted".to_owned();
    assert!(verdict.reasons.contains(&member), "{verdict:?}");
    assert_eq!(too_large(3).reasons, ["3 bytes are more than are scanned"]);
}

#[test]
fn what_unpacks_to_too_much_is_unknown() {
    let (_, name, bytes) = corpus().into_iter().find(|(_, name, _)| name == "tree-zlib.joblib").unwrap();
    let limits = Limits { inflated_bytes: 100, ..Limits::default() };
    assert_eq!(scan(&bytes, &name, &limits).kind, Kind::Unknown);
    assert_eq!(scan(&bytes, &name, &Limits { file_bytes: 10, ..Limits::default() }).kind, Kind::Unknown);
    assert_eq!(scan(&bytes, &name, &Limits { steps: 10, ..Limits::default() }).kind, Kind::Unknown);
    let long = [b"\x80\x04cbuiltins\nlist\n".as_slice(), b"N0".repeat(20).as_slice(), b"."].concat();
    assert_eq!(scan(&long, "a.pkl", &Limits::default()).kind, Kind::Known);
    assert_eq!(scan(&long, "a.pkl", &Limits { steps: 10, ..Limits::default() }).kind, Kind::Malformed);
}

#[test]
fn parts_that_lie_over_each_other_are_paid_for_each_time() {
    let (_, name, bytes) = corpus().into_iter().find(|(_, name, _)| name == "overlapping.zip").unwrap();
    assert_eq!(scan(&bytes, &name, &Limits::default()).kind, Kind::NoPickle);
    assert_eq!(scan(&bytes, &name, &Limits { steps: 50_000, ..Limits::default() }).kind, Kind::Unknown);
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        for name in ["a.pkl", "a.bin"] {
            scan(&bytes, name, &Limits::default());
            scan(&[b"\x80\x04".as_slice(), &bytes].concat(), name, &Limits::default());
        }
    }

    #[test]
    fn damaged_files_never_panic(pick in 0usize..1_000, at in 0usize..100_000, byte in any::<u8>()) {
        let files = corpus();
        let (_, name, bytes) = &files[pick % files.len()];
        let mut bytes = bytes.clone();
        if !bytes.is_empty() {
            let place = at % bytes.len();
            bytes[place] = byte;
        }
        scan(&bytes, name, &Limits::default());
    }
}
