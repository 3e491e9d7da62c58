//! The engine itself, as the rest of the service sees it.

use std::{fs, process::Command, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::task::JoinSet;
use usersecret::{
    hsm::{
        Hsm, HsmError, Isolation, Lane, Processes, SealedBlock, Settings, WrappedKek, create_keys,
    },
    ids::RootVersion,
};

use crate::vendor::Token;

/// Two processes of the program.
pub fn processes() -> Isolation {
    Isolation::Process(Processes {
        program: env!("CARGO_BIN_EXE_usersecret").into(),
        count: 2,
        log: ("warn".to_owned(), false),
        jobs: 0,
    })
}

/// All that can be asked, what must be refused, and both again after a restart.
pub fn works(token: &Token, isolation: Isolation) {
    let settings = token.settings(isolation);
    if fs_has_no_keys(token) {
        create_keys(&settings, &[]).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let hsm = Hsm::start(&settings).unwrap();
    let made = runtime.block_on(uses(&hsm));
    drop(hsm);
    let hsm = Hsm::start(&settings).unwrap();
    runtime.block_on(opens(&hsm, made));
}

fn fs_has_no_keys(token: &Token) -> bool {
    let mark = token.dir.join("keys");
    !mark.exists() && std::fs::write(mark, "").is_ok()
}

/// What was made before a restart.
struct Made {
    kek: WrappedKek,
    wrapped: SealedBlock,
    dek: [u8; 32],
}

async fn uses(hsm: &Hsm) -> Made {
    let (acme, globex) = (Lane::of("acme"), Lane::of("globex"));
    hsm.probe().await.unwrap();
    let kek = hsm.generate_kek(acme, RootVersion::FIRST, b"acme".to_vec()).await.unwrap();
    let other = hsm.generate_kek(globex, RootVersion::FIRST, b"globex".to_vec()).await.unwrap();
    assert!(kek.blob() != other.blob() && kek.binding() != other.binding());
    let (dek, wrapped) = hsm.wrap_dek(acme, kek.clone(), b"aad".to_vec()).await.unwrap();
    let (second, wrapped_second) = hsm.wrap_dek(acme, kek.clone(), b"aad".to_vec()).await.unwrap();
    assert_ne!(dek.expose(), second.expose());
    // An IV for each.
    assert_ne!(wrapped.as_bytes()[..12], wrapped_second.as_bytes()[..12]);

    let mut refused = vec![
        hsm.unwrap_dek(acme, kek.clone(), b"AAD".to_vec(), wrapped.clone()).await,
        hsm.unwrap_dek(acme, other.clone(), b"aad".to_vec(), wrapped.clone()).await,
    ];
    for place in [0, 12, 44, 59] {
        let mut flipped = *wrapped.as_bytes();
        flipped[place] ^= 1;
        refused.push(hsm.unwrap_dek(acme, kek.clone(), b"aad".to_vec(), flipped.into()).await);
    }
    // A KEK that was changed, one with another's blob, and one that was moved to another domain.
    let mut blob = *kek.blob();
    blob[20] ^= 1;
    let binding = kek.binding().as_bytes();
    for (aad, blob, binding) in [
        (&b"acme"[..], &blob, binding),
        (b"acme", other.blob(), binding),
        (b"globex", kek.blob(), binding),
    ] {
        let kek = WrappedKek::parse(aad.to_vec(), RootVersion::FIRST, blob, binding).unwrap();
        refused.push(hsm.unwrap_dek(acme, kek, b"aad".to_vec(), wrapped.clone()).await);
    }
    for (number, refused) in refused.into_iter().enumerate() {
        let error = refused.map(|_| ()).unwrap_err();
        assert!(matches!(error, HsmError::Tampered(_)), "{number}: {error}");
    }

    let key = hsm.signing_key().unwrap();
    let digested = digest(&SHA256, b"what was signed").as_ref().try_into().unwrap();
    let signature = hsm.sign(&key, digested).await.unwrap();
    assert!(key.verify(b"what was signed", &signature));
    // What was refused did no harm.
    hsm.probe().await.unwrap();
    let opened = hsm.unwrap_dek(acme, kek.clone(), b"aad".to_vec(), wrapped.clone()).await.unwrap();
    assert_eq!(opened.expose(), dek.expose());
    Made { kek, wrapped, dek: *dek.expose() }
}

async fn opens(hsm: &Hsm, made: Made) {
    let opened = hsm.unwrap_dek(Lane::of("acme"), made.kek, b"aad".to_vec(), made.wrapped).await;
    assert_eq!(*opened.unwrap().expose(), made.dek);
}

/// More than the socket to a process holds, while the process stands still: who asks waits, others are not kept, and all are answered.
pub fn outgrows_the_socket(token: &Token) {
    let Isolation::Process(one) = processes() else { unreachable!() };
    let isolation = Isolation::Process(Processes { count: 1, ..one });
    // Enough that what the socket holds is the bound, not what the home may have.
    let settings = Settings { sessions: 64, queue: 256, ..token.settings(isolation) };
    create_keys(&settings, &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let hsm = Hsm::start(&settings).unwrap();
    runtime.block_on(async {
        let lane = Lane::of("acme");
        let kek = hsm.generate_kek(lane, RootVersion::FIRST, b"acme".to_vec()).await.unwrap();
        let worker = child();
        tell(&worker, "STOP");
        let mut asked = JoinSet::new();
        for number in 0..120 {
            let (hsm, kek, aad) = (hsm.clone(), kek.clone(), vec![number; 60_000]);
            asked.spawn(async move {
                let (dek, wrapped) = hsm.wrap_dek(lane, kek.clone(), aad.clone()).await.unwrap();
                let opened = hsm.unwrap_dek(lane, kek, aad, wrapped).await.unwrap();
                assert_eq!(opened.expose(), dek.expose());
            });
        }
        // All have asked when this goes on.
        tokio::time::sleep(Duration::from_millis(100)).await;
        tell(&worker, "CONT");
        asked.join_all().await;
        assert_eq!(child(), worker, "nothing was wrong with it");
    });
}

/// The id of the one process that this one has started.
fn child() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let children =
        threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    let children = children.collect::<Vec<_>>().concat().trim().to_owned();
    assert!(!children.contains(' '), "{children}");
    children
}

fn tell(process: &str, signal: &str) {
    let signal = format!("-{signal}");
    assert!(Command::new("kill").args([&signal, process]).status().unwrap().success());
}
