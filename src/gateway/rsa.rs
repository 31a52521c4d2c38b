//! RSA keys of 2048 bits, which plugs want and `ring` uses and does not make. Here they are made, never used.

use std::num::NonZeroU32;

use crypto_bigint::{NonZero, Odd, U1024, U2048};
use crypto_primes::hazmat::SmallFactorsSieve;
use crypto_primes::{Flavor, is_prime};
use rustls::crypto::{GetRandomFailed, SecureRandom};

use super::der;

/// The public exponent that everybody has.
const EXPONENT: u32 = 65_537;

/// Bits and bytes of a prime.
const BITS: NonZeroU32 = NonZeroU32::new(1024).expect("not zero");
const BYTES: usize = 128;

/// A new key as PKCS#1 in DER. Takes a fraction of a second, on a small board some seconds.
pub(super) fn generate(random: &dyn SecureRandom) -> Result<Vec<u8>, GetRandomFailed> {
    loop {
        let (p, q) = (prime(random)?, prime(random)?);
        // Two primes too close to each other, or a random source that repeats itself, make no key.
        let key = if p > q { key(&p, &q) } else { key(&q, &p) };
        if let Some(key) = key.filter(|_| p != q) {
            return Ok(key);
        }
    }
}

/// A prime with its two upper bits set, so that the product of two has all of its bits.
fn prime(random: &dyn SecureRandom) -> Result<U1024, GetRandomFailed> {
    loop {
        let mut bytes = [0; BYTES];
        random.fill(&mut bytes)?;
        if let Some(first) = bytes.first_mut() {
            *first |= 0xc0;
        }
        // The sieve passes over what has small factors, and ends where the numbers of this size do.
        let Ok(sieve) = SmallFactorsSieve::new(U1024::from_be_slice(&bytes), BITS, false) else { continue };
        if let Some(prime) = sieve.take(10_000).find(|number| is_prime(Flavor::Any, number)) {
            return Ok(prime);
        }
    }
}

/// The key of two primes, the larger one first; `None` where the exponent has no inverse.
fn key(p: &U1024, q: &U1024) -> Option<Vec<u8>> {
    let one = U1024::ONE;
    let (p_less, q_less) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
    let modulus: U2048 = p.concatenating_mul(q);
    let phi: U2048 = p_less.concatenating_mul(&q_less);
    let secret: U2048 =
        U2048::from_u32(EXPONENT).invert_mod(&NonZero::new(phi).into_option()?).into_option()?;
    let remainder = |less: U1024| Some(secret.rem(&NonZero::new(less).into_option()?));
    let coefficient = q.invert_odd_mod(&Odd::new(*p).into_option()?).into_option()?;
    let wide = |number: &U2048| der::integer(number.to_be_bytes().as_ref());
    let narrow = |number: &U1024| der::integer(number.to_be_bytes().as_ref());
    Some(der::sequence(&[
        &der::integer(&[0]),
        &wide(&modulus),
        &der::integer(&EXPONENT.to_be_bytes()),
        &wide(&secret),
        &narrow(p),
        &narrow(q),
        &narrow(&remainder(p_less)?),
        &narrow(&remainder(q_less)?),
        &narrow(&coefficient),
    ]))
}
