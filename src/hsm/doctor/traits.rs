//! What a token does, found by trying it on keys that are gone afterwards.

use cryptoki::{
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, ObjectHandle},
};

use super::{
    super::{HsmError, Profile, SealedBlock, kek::wrap_key, module::Session, template},
    Finding, Notes, Stop,
};

/// Notes each trait of the token behind `session`.
pub(super) fn examine(session: &Session, profile: Profile, notes: &mut Notes) -> Result<(), Stop> {
    notes.note("random bytes", random(session).unwrap_or_else(Finding::from))?;
    let keys = Keys::make(session);
    let keys = notes.step("keys", keys, |_| "are made in a session that only reads".to_owned())?;
    let looked = [
        ("key wrapping", keys.wrapping()),
        ("unwrapping", keys.unwrapping(profile)),
        ("extractability", keys.extractability()),
        ("IV", keys.iv()),
    ];
    keys.destroy();
    for (what, finding) in looked {
        notes.note(what, finding.unwrap_or_else(Finding::from))?;
    }
    Ok(())
}

/// Whether the root can be copied to a session, as the service does.
pub(super) fn copying(session: &Session, root: ObjectHandle) -> Finding {
    match session.copy_object(root, &template::session_copy()) {
        Ok(copy) => match session.destroy_object(copy) {
            Ok(()) => Finding::Good("can be copied to a session, where it is faster".to_owned()),
            Err(error) => error.into(),
        },
        Err(error) => Finding::Differs(format!(
            "cannot be copied to a session ({error}): the token's own is used, which is slower on many"
        )),
    }
}

fn random(session: &Session) -> Result<Finding, HsmError> {
    let mut blocks = [[0; 32]; 2];
    for block in &mut blocks {
        session.generate_random_slice(block)?;
    }
    let [first, second] = blocks;
    Ok(if first == second || blocks.contains(&[0; 32]) {
        Finding::Lacks("the token gives the same bytes twice, or zeros".to_owned())
    } else {
        Finding::Good("come from the token".to_owned())
    })
}

/// Keys that live in this session.
struct Keys<'a> {
    session: &'a Session,
    /// Wraps others.
    wrapping: ObjectHandle,
    /// May leave.
    newborn: ObjectHandle,
    /// May not.
    kept: ObjectHandle,
}

impl<'a> Keys<'a> {
    fn make(session: &'a Session) -> Result<Self, HsmError> {
        let generate =
            |template: &[Attribute]| session.generate_key(&Mechanism::AesKeyGen, template);
        let mut kept = template::kek();
        kept.push(template::length());
        Ok(Self {
            session,
            wrapping: generate(&template::newborn_root())?,
            newborn: generate(&template::newborn_kek())?,
            kept: generate(&kept)?,
        })
    }

    fn destroy(self) {
        for key in [self.wrapping, self.newborn, self.kept] {
            // They end with the session otherwise.
            let _ = self.session.destroy_object(key);
        }
    }

    fn wrapping(&self) -> Result<Finding, HsmError> {
        wrap_key(self.session, self.wrapping, self.newborn)?;
        let mut iv = [1; 12];
        let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, b"", 128.into())?);
        let also = self.session.wrap_key(&gcm, self.wrapping, self.newborn).is_ok();
        let also = if also { "and AES-GCM" } else { "not AES-GCM" };
        Ok(Finding::Good(format!("AES key wrap (RFC 3394), {also}, which is not needed")))
    }

    /// Whether the length of a key may stand in the template, and whether the profile has it so.
    fn unwrapping(&self, profile: Profile) -> Result<Finding, HsmError> {
        let blob = wrap_key(self.session, self.wrapping, self.newborn)?;
        let takes = |with_length| {
            let mut template = template::kek();
            if with_length {
                template.push(template::length());
            }
            let object = self.session.unwrap_key_as(
                &Mechanism::AesKeyWrap,
                self.wrapping,
                &blob,
                &template,
            )?;
            self.session.destroy_object(object)
        };
        let (with, without) = (takes(true), takes(false));
        let stated = profile.unwraps_with_length;
        let fits = if stated { &with } else { &without };
        Ok(match (fits, &with, &without) {
            (Ok(()), Ok(()), Ok(())) => {
                Finding::Good("with and without the length of the key".to_owned())
            }
            (Ok(()), ..) if stated => Finding::Good("with the length of the key only".to_owned()),
            (Ok(()), ..) => Finding::Good("without the length of the key only".to_owned()),
            (Err(error), ..) => {
                let other = if stated { &without } else { &with };
                let advice = match (other, stated) {
                    (Err(_), _) => "",
                    (Ok(()), true) => {
                        "; the token refuses the length of the key, which hsm.profile = \"softhsm\" leaves out"
                    }
                    (Ok(()), false) => {
                        "; the token wants the length of the key, which hsm.profile = \"pkcs11\" states"
                    }
                };
                Finding::Lacks(format!("{error}{advice}"))
            }
        })
    }

    fn extractability(&self) -> Result<Finding, HsmError> {
        // That one that may be wrapped is, was seen.
        Ok(match self.session.wrap_key(&Mechanism::AesKeyWrap, self.wrapping, self.kept) {
            Err(_) => Finding::Good("a key that is not extractable cannot be wrapped".to_owned()),
            Ok(_) => Finding::Differs(
                "is not enforced: the token wraps a key that is not extractable, so whoever has the PIN \
                 can take the root out of it. For development and tests"
                    .to_owned(),
            ),
        })
    }

    fn iv(&self) -> Result<Finding, HsmError> {
        let iv = [7; 12];
        let sealed = SealedBlock::seal(self.session, self.newborn, iv, b"", &[0; 32])?;
        Ok(if sealed.as_bytes().starts_with(&iv) {
            Finding::Good("AES-GCM uses the one that it is given".to_owned())
        } else {
            Finding::Differs("AES-GCM writes one of the token's own, which is kept".to_owned())
        })
    }
}
