//! TLS to the broker: which files it takes, what is wrong with them, and what to do about a handshake that failed.

#[cfg(feature = "tls")]
use crate::file;
use std::path::PathBuf;
#[cfg(feature = "tls")]
use std::sync::Arc;

/// The largest file with certificates or a key.
#[cfg(feature = "tls")]
const MAX_PEM: u64 = 4 << 20;

/// How TLS to the broker is done.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Trusted roots; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of this client.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What to do about a TLS handshake that failed; rumqttc tells why in words only.
pub(super) fn remedy(error: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 9] = [
        ("UnknownIssuer", "name the authority that signed the broker's certificate with mqtt.tls.ca_file"),
        (
            "CaUsedAsEndEntity",
            "give the broker a certificate that an authority has signed, and name that authority with mqtt.tls.ca_file",
        ),
        ("not valid for name", "use a name in mqtt.url that stands in the broker's certificate"),
        ("NotValidForName", "use a name in mqtt.url that stands in the broker's certificate"),
        ("certificate expired", "renew the broker's certificate, or set the clock of this machine"),
        ("certificate not valid yet", "set the clock of this machine; the broker's certificate begins later"),
        (
            "InvalidContentType",
            "the broker does not speak TLS at this port; use its TLS port, often 8883, or mqtt://",
        ),
        (
            "CertificateRequired",
            "the broker wants a certificate, give mqtt.tls.cert_file and mqtt.tls.key_file",
        ),
        (
            "fatal alert",
            "the broker does not take our certificate or our TLS; check mqtt.tls.cert_file and the broker's log",
        ),
    ];
    REMEDIES.iter().find(|(word, _)| error.contains(word)).map(|(_, remedy)| *remedy)
}

/// What the files make of a connection.
///
/// # Errors
///
/// Names the file and what is wrong with it.
#[cfg(feature = "tls")]
pub(super) fn config(tls: &Tls) -> Result<Arc<rustls::ClientConfig>, String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    match &tls.ca_file {
        Some(file) => {
            let fail = |why: String| format!("mqtt.tls.ca_file {}: {why}", file.display());
            let text = file::read(file, MAX_PEM).map_err(|e| fail(e.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(|e| fail(e.to_string()))?;
                roots.add(certificate).map_err(|e| fail(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(fail("has no certificate in it".into()));
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err("the system has no trusted roots; name them with mqtt.tls.ca_file".into());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let fail = |setting: &str, file: &PathBuf, why: String| {
                format!("mqtt.tls.{setting} {}: {why}", file.display())
            };
            let read = |setting: &str, path: &PathBuf| {
                file::read(path, MAX_PEM).map_err(|e| fail(setting, path, e.to_string()))
            };
            let text = read("cert_file", certificate)?;
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
            let chain = chain.map_err(|e| fail("cert_file", certificate, e.to_string()))?;
            if chain.is_empty() {
                return Err(fail("cert_file", certificate, "has no certificate in it".into()));
            }
            let secret = PrivateKeyDer::from_pem_slice(&read("key_file", key)?);
            let secret = secret.map_err(|error| fail("key_file", key, no_key(&error)))?;
            let builder = builder.with_client_auth_cert(chain, secret);
            builder.map_err(|error| fail("key_file", key, unfit(&error, certificate)))?
        }
    };
    Ok(Arc::new(config))
}

#[cfg(feature = "tls")]
fn no_key(error: &rustls::pki_types::pem::Error) -> String {
    match matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
        true => "has no private key in it, or one with a password".into(),
        false => error.to_string(),
    }
}

#[cfg(feature = "tls")]
fn unfit(error: &rustls::Error, certificate: &std::path::Path) -> String {
    match matches!(error, rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) {
        true => format!("is not the key of the certificate in {}", certificate.display()),
        false => error.to_string(),
    }
}

/// The certificate of an authority that has signed nothing.
#[cfg(all(test, feature = "tls"))]
pub(super) const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBjDCCATOgAwIBAgIUMdH810+UzaBHb5DpxBatHCJ1BHMwCgYIKoZIzj0EAwIw\n\
GzEZMBcGA1UEAwwQYSB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMzAwODE5NDJaGA8y\n\
MTI2MTEwNjA4MTk0MlowGzEZMBcGA1UEAwwQYSB0ZXN0IGF1dGhvcml0eTBZMBMG\n\
ByqGSM49AgEGCCqGSM49AwEHA0IABMSMFV3aooBZ69rqWygXjqh+/UHpxlCs5wqO\n\
PTtgDG2D78ST/uHhQUSfBRVNGwzcpZbqB5DS9KxJYVDEPV29HeWjUzBRMB0GA1Ud\n\
DgQWBBR7RSuwyL/QCHOvUgjSabtNGCCy0TAfBgNVHSMEGDAWgBR7RSuwyL/QCHOv\n\
UgjSabtNGCCy0TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFBM\n\
6fvmZmfHueeSrbMC/+qYc8HAueiNyLy4bpl89do+AiA24ixMQb5vngTeBsAAEblU\n\
yvPNgFWB9csOuOakswGJ9w==\n\
-----END CERTIFICATE-----\n\
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_that_failed_has_a_remedy() {
        let expired = "invalid peer certificate: certificate expired: verification time 1 (UNIX), but not";
        for (error, part) in
            [(expired, "set the clock of this machine"), ("UnknownIssuer", "mqtt.tls.ca_file")]
        {
            assert!(remedy(error).is_some_and(|remedy| remedy.contains(part)), "{error}");
        }
        assert_eq!(remedy("Connection refused (os error 111)"), None);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn files_that_do_not_fit_are_named_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let (authority, junk) = (file("ca.pem", AUTHORITY), file("junk.pem", "no PEM"));
        let refused = |ca: &PathBuf, client: Option<(&PathBuf, &PathBuf)>, want: &str| {
            let client = client.map(|(certificate, key)| (certificate.clone(), key.clone()));
            let why = config(&Tls { ca_file: Some(ca.clone()), client }).expect_err(want);
            assert_eq!(why, want.replace("DIR", &folder.path().display().to_string()));
        };
        assert!(config(&Tls { ca_file: Some(authority.clone()), client: None }).is_ok());
        refused(&junk, None, "mqtt.tls.ca_file DIR/junk.pem: has no certificate in it");
        let both = Some((&junk, &junk));
        refused(&authority, both, "mqtt.tls.cert_file DIR/junk.pem: has no certificate in it");
        let key = Some((&authority, &authority));
        refused(
            &authority,
            key,
            "mqtt.tls.key_file DIR/ca.pem: has no private key in it, or one with a password",
        );
        let mismatch = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
        assert_eq!(
            unfit(&mismatch, &authority),
            format!("is not the key of the certificate in {}", authority.display())
        );
    }
}
