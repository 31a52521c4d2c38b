//! The certificate that plugs are shown: made at the first start, kept beside the state, and made again when it no
//! longer fits.
//!
//! RSA of 2048 bits and SHA-256, named after the host as plugs were told it, signed by an authority of another name
//! whose key is thrown away at once. It ends before 2038, when times of 32 bits do, as long as that is far away. The
//! key stays the same when the certificate is renewed.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer};

use super::{der, rsa};
use crate::file::{self, Replacement};

/// The file, in the state directory.
const FILE: &str = "gateway.pem";

/// More than a key and a certificate ever take.
const LARGEST: u64 = 64 * 1024;

/// The authority that has signed and is no more.
const AUTHORITY: &str = "plug2mqtt gateway authority";

/// The last year before times of 32 bits end.
const LAST_YEAR: u64 = 2037;

/// Years for which a certificate is made at least.
const YEARS: u64 = 3;

const SECONDS_A_YEAR: u64 = 31_556_952;

/// The certificate cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the gateway's key in {path}: {source}; check state.directory", path = .path.display())]
pub struct CertificateError {
    /// The file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Certificate {
    /// The private key.
    pub key: PrivateKeyDer<'static>,
    /// What plugs are shown.
    pub certificate: CertificateDer<'static>,
    /// Whether it was made just now.
    pub fresh: bool,
}

/// The certificate in this folder for a host, a name or an address. One that is missing, damaged, for another host
/// or in its last year is made anew. Takes up to some seconds of work.
///
/// # Errors
///
/// When the file cannot be written, or something is in its place that is no file.
pub fn keep(
    folder: &Path,
    host: &str,
    unix_s: u64,
    provider: &CryptoProvider,
) -> Result<Certificate, CertificateError> {
    let path = folder.join(FILE);
    let fail = |source| CertificateError { path: path.clone(), source };
    let kept = match file::read_own(&path, LARGEST) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fail(error)),
    };
    let key = kept.as_deref().and_then(|text| usable(PrivateKeyDer::from_pem_slice(text).ok()?, provider));
    if kept.is_some() && key.is_none() {
        tracing::warn!(path = %path.display(), "the gateway's key cannot be read; a new one is made");
    }
    let certificate = kept.as_deref().and_then(|text| CertificateDer::from_pem_slice(text).ok());
    if let (Some(key), Some(certificate)) = (&key, certificate.filter(|kept| fits(kept, host, unix_s))) {
        return Ok(Certificate { key: key.clone_key(), certificate, fresh: false });
    }
    let key = match key {
        Some(key) => key,
        None => make(provider).map_err(fail)?,
    };
    let certificate = CertificateDer::from(certify(&key, host, unix_s, provider).map_err(fail)?);
    let text = pem("RSA PRIVATE KEY", key.secret_der()) + &pem("CERTIFICATE", &certificate);
    let write = Replacement::write(&path, |to| to.write_all(text.as_bytes()));
    write.and_then(Replacement::put).map_err(fail)?;
    Ok(Certificate { key, certificate, fresh: true })
}

/// A key of the form that is kept here, if it can sign.
fn usable(key: PrivateKeyDer<'static>, provider: &CryptoProvider) -> Option<PrivateKeyDer<'static>> {
    let rsa = matches!(key, PrivateKeyDer::Pkcs1(_)) && public(key.secret_der()).is_some();
    (rsa && provider.key_provider.load_private_key(key.clone_key()).is_ok()).then_some(key)
}

fn make(provider: &CryptoProvider) -> io::Result<PrivateKeyDer<'static>> {
    let key = rsa::generate(provider.secure_random)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(PrivatePkcs1KeyDer::from(key).into())
}

/// The public half of a key that [`rsa`] has made: what stands behind the version, up to the private exponent.
fn public(key: &[u8]) -> Option<Vec<u8>> {
    // SEQUENCE with two bytes of length, version 0; then the modulus of 257 bytes and the exponent of three.
    let numbers = key.strip_prefix(&[0x30, 0x82])?.get(2..)?.strip_prefix(&[2, 1, 0])?;
    let numbers = numbers.get(..4 + 257 + 5)?;
    numbers.starts_with(&[2, 0x82, 1, 1]).then(|| der::sequence(&[numbers]))
}

/// Whether a certificate made here is for this host and not in its last year.
fn fits(certificate: &[u8], host: &str, unix_s: u64) -> bool {
    let has = |part: &[u8]| certificate.windows(part.len()).any(|window| window == part);
    let this_year = 1970 + unix_s / SECONDS_A_YEAR;
    has(&names(host))
        && has(&common_name(host))
        && (this_year + 1..=this_year + 100).any(|year| has(&validity(year)))
}

/// A new certificate for a key.
fn certify(
    key: &PrivateKeyDer<'_>,
    host: &str,
    unix_s: u64,
    provider: &CryptoProvider,
) -> io::Result<Vec<u8>> {
    let authority = provider.key_provider.load_private_key(make(provider)?).map_err(io::Error::other)?;
    let signer = authority.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
    let signer = signer.ok_or_else(|| io::Error::other("the key cannot sign"))?;
    let mut serial = [0; 16];
    provider
        .secure_random
        .fill(&mut serial)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let public = public(key.secret_der()).ok_or_else(|| io::Error::other("the key is of another form"))?;
    let sha256_rsa =
        der::sequence(&[&der::oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b]), der::NULL]);
    let rsa = der::sequence(&[&der::oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), der::NULL]);
    let year = LAST_YEAR.max(1970 + unix_s / SECONDS_A_YEAR + YEARS);
    let extensions = der::sequence(&[
        // No authority; signs and takes keys; for servers; the names.
        &extension(&[0x13], true, &der::sequence(&[])),
        &extension(&[0x0f], true, &[3, 2, 5, 0xa0]),
        &extension(&[0x25], false, &der::sequence(&[&der::oid(&[0x2b, 6, 1, 5, 5, 7, 3, 1])])),
        &extension(&[0x11], false, &names(host)),
    ]);
    let to_sign = der::sequence(&[
        &der::value(0xa0, &[&der::integer(&[2])]),
        &der::integer(&serial),
        &sha256_rsa,
        &name(AUTHORITY),
        &validity(year),
        &name(host),
        &der::sequence(&[&rsa, &der::bits(&public)]),
        &der::value(0xa3, &[&extensions]),
    ]);
    let signature = signer.sign(&to_sign).map_err(io::Error::other)?;
    Ok(der::sequence(&[&to_sign, &sha256_rsa, &der::bits(&signature)]))
}

fn common_name(text: &str) -> Vec<u8> {
    der::sequence(&[&der::oid(&[0x55, 4, 3]), &der::value(0x0c, &[text.as_bytes()])])
}

fn name(text: &str) -> Vec<u8> {
    der::sequence(&[&der::value(0x31, &[&common_name(text)])])
}

/// From 2020, so that a plug without a clock is the only one to take it for something of the future, to the end of a
/// year.
fn validity(year: u64) -> Vec<u8> {
    let end = match year {
        ..=2049 => der::value(0x17, &[format!("{:02}1231235959Z", year % 100).as_bytes()]),
        _ => der::value(0x18, &[format!("{year:04}1231235959Z").as_bytes()]),
    };
    der::sequence(&[&der::value(0x17, &[b"200101000000Z"]), &end])
}

/// One of the extensions of X.509 itself.
fn extension(id: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::sequence(&[&der::oid(&[&[0x55, 0x1d], id].concat()), critical, &der::value(4, &[content])])
}

/// The host as subject alternative name.
fn names(host: &str) -> Vec<u8> {
    let name = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => der::value(0x87, &[&address.octets()]),
        Ok(IpAddr::V6(address)) => der::value(0x87, &[&address.octets()]),
        Err(_) => der::value(0x82, &[host.as_bytes()]),
    };
    der::sequence(&[&name])
}

fn pem(label: &str, content: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64(content).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    const NOW: u64 = 1_795_219_200;

    fn keep_at(folder: &Path, host: &str, unix_s: u64) -> Certificate {
        keep(folder, host, unix_s, &rustls::crypto::ring::default_provider()).unwrap()
    }

    /// What OpenSSL reads in the file.
    fn shown(folder: &Path) -> String {
        let path = folder.join(FILE);
        let run = |arguments: &[&str]| {
            let out = Command::new("openssl").args(arguments).arg("-in").arg(&path).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        assert_eq!(run(&["rsa", "-check", "-noout"]).trim(), "RSA key ok");
        run(&["x509", "-noout", "-text"])
    }

    #[test]
    fn it_is_made_once_and_again_when_the_host_or_its_last_year_comes() {
        let folder = tempfile::tempdir().unwrap();
        let first = keep_at(folder.path(), "192.168.1.10", NOW);
        assert!(first.fresh);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = shown(folder.path());
        for part in [
            "Signature Algorithm: sha256WithRSAEncryption",
            "Issuer: CN = plug2mqtt gateway authority",
            "Not Before: Jan  1 00:00:00 2020 GMT",
            "Not After : Dec 31 23:59:59 2037 GMT",
            "Subject: CN = 192.168.1.10",
            "Public-Key: (2048 bit)",
            "CA:FALSE",
            "Digital Signature, Key Encipherment",
            "TLS Web Server Authentication",
            "IP Address:192.168.1.10",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let again = keep_at(folder.path(), "192.168.1.10", NOW + 10 * SECONDS_A_YEAR);
        assert_eq!((again.fresh, &again.certificate), (false, &first.certificate));

        let moved = keep_at(folder.path(), "plugs.lan", NOW);
        assert_eq!((moved.fresh, &moved.key), (true, &first.key), "the key stays");
        assert!(shown(folder.path()).contains("DNS:plugs.lan"));
        let late = NOW + 11 * SECONDS_A_YEAR;
        let renewed = keep_at(folder.path(), "plugs.lan", late);
        assert_eq!((renewed.fresh, &renewed.key), (true, &first.key));
        assert!(shown(folder.path()).contains("Not After : Dec 31 23:59:59 2040 GMT"));
        assert!(!keep_at(folder.path(), "plugs.lan", late).fresh);

        fs::write(folder.path().join(FILE), "torn").unwrap();
        let new = keep_at(folder.path(), "plugs.lan", NOW);
        assert!(new.fresh && new.key != first.key);
    }

    #[test]
    fn what_is_no_file_is_left_alone_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(FILE)).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let error = keep(folder.path(), "plugs.lan", NOW, &provider).unwrap_err().to_string();
        assert!(
            error.contains("is a symbolic link; remove it") && error.contains("state.directory"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "precious");
    }
}
