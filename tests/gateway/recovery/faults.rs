//! What must not become the root.

use super::*;

use crate::{birth::kit::hangs, support::TestApp};

/// A token that waits for a root, and what it is told.
struct Waiting {
    token: Token,
    key: String,
}

impl Waiting {
    fn new() -> Self {
        let token = Token::new();
        let key = receive(&token);
        Self { token, key }
    }

    /// `root`, wrapped to its key.
    fn wrap(&self, root: &[u8]) -> Vec<u8> {
        let encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", &self.key];
        openssl(&[&encrypt[..], &OAEP].concat(), root)
    }

    fn file(&self, copy: &[u8]) -> String {
        let file = self.token.path("copy");
        fs::write(&file, copy).unwrap();
        file
    }

    /// The copy is refused in these words, and nothing is left of it.
    fn refuses(&self, copy: &[u8], words: &str) {
        let said = self.token.bad(["hsm", "restore"], &[&self.file(copy)]);
        assert!(said.contains(words), "{said}");
        let doctor = self.token.bad(["hsm", "doctor"], &[]);
        assert!(doctor.contains("✘ root key        the token has no root key"), "{doctor}");
    }

    fn takes(&self, copy: &[u8]) -> String {
        self.token.good(["hsm", "restore"], &[&self.file(copy)])
    }
}

#[test]
fn what_is_no_copy_for_this_token_is_refused() {
    let (waiting, other) = (Waiting::new(), Waiting::new());
    let copy = waiting.wrap(&[7; 32]);
    let mut changed = copy.clone();
    changed[200] ^= 1;
    waiting.refuses(
        &copy[..383],
        "the copy has 383 bytes; one for this token's receiving key has 384",
    );
    waiting.refuses(&[], "the copy has 0 bytes");
    waiting.refuses(&changed, "it was changed, or is for another key");
    waiting.refuses(&other.wrap(&[7; 32]), "it was changed, or is for another key");
    // As when the first half of a pipe fails.
    for length in [0, 1, 31, 40, 64] {
        waiting.refuses(
            &waiting.wrap(&vec![7; length]),
            "the copy holds something else than a root key",
        );
    }
    assert!(waiting.takes(&copy).contains("nothing proves the copy"));
    assert!(other.token.bad(["hsm", "restore"], &["/none"]).contains("/none: "));
}

#[test]
fn there_is_one_root_of_a_version_and_one_use_of_a_receiving_key() {
    let waiting = Waiting::new();
    let again = waiting.token.good(["hsm", "receive"], &[]);
    assert_eq!(fs::read_to_string(&waiting.key).unwrap(), again);
    let copy = waiting.wrap(&[7; 32]);
    let kept =
        waiting.token.good(["hsm", "restore"], &[&waiting.file(&copy), "--keep-receiving-key"]);
    assert!(kept.contains("the receiving key is kept"), "{kept}");
    let doctor = waiting.token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("! receiving key   SHA256:"), "{doctor}");
    let twice = waiting.token.bad(["hsm", "restore"], &[&waiting.file(&copy)]);
    assert!(twice.contains("the token has a root key 1 already"), "{twice}");

    // A copy of another version may follow.
    let file = waiting.file(&copy);
    let next = [&file, "--root-version", "2", "--keep-receiving-key"];
    let next = waiting.token.good(["hsm", "restore"], &next);
    assert!(next.contains("root key 2 is restored"), "{next}");

    // Why it is not kept: it is a way out.
    waiting.token.visit("take-out");
    assert_eq!(fs::read(waiting.token.path("root")).unwrap(), [7; 32]);
    waiting.token.good(["hsm", "receive"], &["--destroy"]);
    let none = waiting.token.run(["hsm", "receive"], &["--destroy"]);
    assert!(String::from_utf8(none.stderr).unwrap().contains("the token has no receiving key"));
    waiting.token.visit("forget-all");
    let unready = waiting.token.bad(["hsm", "restore"], &[&waiting.file(&copy)]);
    assert!(unready.contains("`usersecret hsm receive` makes it"), "{unready}");
    // A new key, for which the copy of before is worth nothing.
    receive(&waiting.token);
    waiting.refuses(&copy, "it was changed, or is for another key");

    let born = Token::new();
    init(&born, &[]);
    receive(&born);
    let late = born.bad(["hsm", "restore"], &[&waiting.file(&copy)]);
    assert!(late.contains("the token has a root key 1 already"), "{late}");
}

#[tokio::test]
async fn of_two_that_bring_one_root_at_the_same_time_one_takes_it_back() {
    let waiting = Waiting::new();
    let copy = waiting.file(&waiting.wrap(&[7; 32]));
    // One that has tried the copy, has looked again, and is about to put the root on the token.
    let faults = waiting.token.faults();
    faults.set("function=C_UnwrapKey from=2 hang").unwrap();
    let slow = waiting.token.begin(["hsm", "restore"], &[&copy], &faults);
    let tried = async || faults.calls().is_ok_and(|calls| calls.contains_key("C_UnwrapKey"));
    eventually("it has tried the copy", tried).await;
    hangs(&faults, "C_UnwrapKey", 2).await;
    let said = waiting.token.good(["hsm", "restore"], &[&copy, "--keep-receiving-key"]);
    faults.set("").unwrap();
    let slow = slow.wait_with_output().unwrap();
    let slow = String::from_utf8_lossy(&slow.stderr).into_owned();
    assert!(slow.contains("at the same time"), "{slow}");
    // The other's is there, and its receiving key was not taken from it.
    let doctor = waiting.token.good(["hsm", "doctor"], &[]);
    assert_eq!(check_value(&doctor), check_value(&said));
    assert!(doctor.contains("! receiving key"), "{doctor}");
    waiting.token.visit("look-root");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_the_database_tell_a_wrong_root() {
    let app = TestApp::start().await;
    for domain in ["acme", "globex"] {
        app.caller(domain, "ann", "USER").create("aws").await;
    }
    let waiting = Waiting::new();
    let database = format!("[database]\n{}", app.database.toml);
    waiting.token.configure(&database);
    let copy = waiting.wrap(&[7; 32]);
    waiting.refuses(&copy, "is of another root: it opens none of 2 keys of domains");
    // It does not come in by a doctor's oversight either.
    waiting.token.configure("");
    waiting.takes(&copy);
    waiting.token.configure(&database);
    let doctor = waiting.token.bad(["hsm", "doctor"], &[]);
    assert!(doctor.contains("✘ domain keys     their roots open 0 of 2"), "{doctor}");

    // A database that is named must be there.
    let gone = waiting.token.path("gone.db");
    waiting.token.configure(&format!("[database]\nurl = \"sqlite://{gone}\"\n"));
    let doctor = waiting.token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("! domain keys     the database cannot be read"), "{doctor}");
    let said = waiting.token.bad(["hsm", "restore"], &[&waiting.file(&copy)]);
    assert!(said.contains("the database that would prove the copy cannot be used"), "{said}");
    assert!(!fs::exists(gone).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_changed_in_the_database_is_told_from_a_wrong_root() {
    let dir = tempfile::tempdir().unwrap();
    let database = TestDatabase::create(dir.path()).await;
    let site = Site::new(Token::new(), database, new_key());
    let waiting = Waiting::new();
    let copy = site.token.path("root");
    init(&site.token, &[(&waiting.key, &copy)]);
    site.token.good(["migrate"], &[]);
    {
        let (_running, url) = site.serve();
        for domain in ["acme", "globex"] {
            create(&site, &url, domain, "aws").await;
        }
    }
    let connection = site.database.connect().await;
    let swap = "UPDATE keks SET binding = (SELECT binding FROM keks WHERE domain_id = 'acme')";
    connection.execute_unprepared(swap).await.unwrap();
    connection.close().await.unwrap();
    waiting.token.configure(&format!("[database]\n{}", site.database.toml));
    let copy = fs::read(copy).unwrap();
    waiting.refuses(&copy, "the copy opens 1 of 2 keys of domains");
    waiting.token.configure("");
    waiting.takes(&copy);
}

#[test]
fn copies_are_all_made_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let [_, public] = offline_key(dir.path());
    let token = Token::new();
    let (one, two) = (token.path("one"), token.path("two"));
    let key = ["--recovery-public-key", public.as_str()];
    let out = |file| ["--recovery-out", file];
    let refused = |arguments: &[&[&str]], words: &str| {
        let said = token.bad(["hsm", "init"], &arguments.concat());
        assert!(said.contains(words), "{said}");
        assert!(!fs::exists(&one).unwrap(), "an empty file is no copy");
    };
    refused(&[&key, &key, &out(&one)], "there are 2 and 1");
    refused(&[&key, &out(&one), &key, &out(&one)], "one: File exists");
    fs::write(&two, "").unwrap();
    refused(&[&key, &out(&one), &key, &out(&two)], "two: File exists");
    assert!(fs::exists(&two).unwrap());
    init(&token, &[(&public, &one)]);
    let doctor = token.good(["hsm", "doctor"], &[]);
    let der = openssl(&["pkey", "-pubin", "-in", &public, "-outform", "DER"], &[]);
    let digest = openssl(&["dgst", "-sha256", "-r"], &der);
    let digest = String::from_utf8(digest).unwrap()[..64].to_owned();
    let words = format!(
        "✔ recovery copies of version 1: 1 made at its birth, to RSA keys SHA256:{digest}\n"
    );
    assert!(doctor.contains(&words), "{doctor}");

    // Another root has none of them.
    token.visit("forget-all");
    init(&token, &[]);
    let doctor = token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("! recovery copies of version 1: the token knows of none"), "{doctor}");
}
