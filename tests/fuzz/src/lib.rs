//! The fuzz targets of Realmkeeper, one program each in `fuzz_targets`, and what they once found worth keeping, one
//! folder each in `corpus`. What a target asserts stands in `realmkeeper::fuzz`.

#[cfg(test)]
mod tests {
    use realmkeeper::fuzz;
    use std::{fs, path::Path};

    /// Plays the corpus of a target.
    fn play(target: &str, play: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let entries = fs::read_dir(&folder).expect("the target has a corpus");
        let mut played = 0;
        for entry in entries {
            let path = entry.expect("the folder can be read").path();
            // A panic does not say what it was about.
            println!("{}", path.display());
            play(&fs::read(&path).expect("the file can be read"));
            played += 1;
        }
        assert!(played >= 10, "{target}: {played} files say little");
    }

    #[test]
    fn the_corpora_are_played() {
        let targets: [(&str, fn(&[u8])); 7] = [
            ("codec", fuzz::codec),
            ("config", fuzz::config),
            ("pattern", fuzz::pattern),
            ("proxy_header", fuzz::proxy_header),
            ("rawsocket", fuzz::rawsocket),
            ("realm", fuzz::realm),
            ("websocket", fuzz::websocket),
        ];
        let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
        assert_eq!(folders.expect("there are corpora").count(), targets.len(), "every corpus is played");
        for (target, one) in targets {
            play(target, one);
        }
    }
}
