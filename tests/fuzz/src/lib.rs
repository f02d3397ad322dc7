//! The fuzz targets of Realmkeeper, one program each in `fuzz_targets`, and what they found worth keeping, one folder
//! each in `corpus`. What a target asserts stands in `realmkeeper::fuzz`.

#[cfg(test)]
mod tests {
    use realmkeeper::fuzz;
    use std::{
        fs,
        panic::{AssertUnwindSafe, catch_unwind},
        path::Path,
    };

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 9] = [
        ("authenticate", fuzz::authenticate),
        ("codec", fuzz::codec),
        ("config", fuzz::config),
        ("headers", fuzz::headers),
        ("pattern", fuzz::pattern),
        ("proxy_header", fuzz::proxy_header),
        ("rawsocket", fuzz::rawsocket),
        ("realm", fuzz::realm),
        ("websocket", fuzz::websocket),
    ];

    #[test]
    fn the_corpora_are_played() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut failed = Vec::new();
        for (target, play) in TARGETS {
            let entries = fs::read_dir(corpora.join(target)).expect("the target has a corpus");
            let paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
            assert!(!paths.is_empty(), "{target} has nothing to play");
            for path in paths {
                let octets = fs::read(&path).expect("the file can be read");
                if catch_unwind(AssertUnwindSafe(|| play(&octets))).is_err() {
                    failed.push(path);
                }
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["corpus", "fuzz_targets"] {
            let entries = fs::read_dir(root.join(folder)).expect("the folder is there");
            let paths = entries.map(|entry| entry.expect("the folder can be read").path());
            let mut names: Vec<_> = paths.filter_map(|path| Some(path.file_stem()?.to_owned())).collect();
            names.sort();
            assert_eq!(names, TARGETS.map(|(name, _)| name), "{folder}");
        }
    }
}
