/* Contexts as messages of today carry them: 28 characters of base64, two times of six bytes each (protocol §3).
 *
 * Others, such as those of times before 1987 or after 2039, are left to `core/context.py`.
 */
#ifndef ASYNCDSM_CONTEXT_H
#define ASYNCDSM_CONTEXT_H

#include <stdint.h>

#define CONTEXT_CHARACTERS 28
#define CONTEXT_BYTES 20
#define NS_PER_MS 1000000

typedef struct {
    uint64_t hash;
    int64_t pathway_start_ns;
    int64_t edge_start_ns;
} Context;

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t BASE64_VALUES[256];

static void context_prepare(void)
{
    for (int i = 0; i < 256; i++)
        BASE64_VALUES[i] = 255;
    for (int i = 0; i < 64; i++)
        BASE64_VALUES[(uint8_t)BASE64[i]] = (uint8_t)i;
}

/* Reads the 42 bits of a time in six bytes. Returns -1 unless it is one, and not before 1970. */
static inline int64_t context_read_ns(const uint8_t *bytes)
{
    uint64_t zigzag = 0;
    for (int i = 0; i < 6; i++)
        zigzag |= (uint64_t)(bytes[i] & 127) << 7 * i;
    if (!(bytes[0] & bytes[1] & bytes[2] & bytes[3] & bytes[4] & 128) || bytes[5] & 128 || zigzag & 1)
        return -1;
    return (int64_t)(zigzag / 2) * NS_PER_MS;
}

/* Reads a context from CONTEXT_CHARACTERS characters. Returns 0 unless it has the common shape. */
static inline int context_read(const char *text, Context *context)
{
    uint8_t bytes[CONTEXT_BYTES + 1];
    uint8_t wrong = 0;
    for (int group = 0; group < 7; group++) {
        const uint8_t *in = (const uint8_t *)text + 4 * group;
        uint8_t a = BASE64_VALUES[in[0]], b = BASE64_VALUES[in[1]], c = BASE64_VALUES[in[2]];
        uint8_t d = group == 6 ? 0 : BASE64_VALUES[in[3]];
        wrong |= (a | b | c | d) & 192;
        bytes[3 * group] = (uint8_t)(a << 2 | b >> 4);
        bytes[3 * group + 1] = (uint8_t)(b << 4 | c >> 2);
        bytes[3 * group + 2] = (uint8_t)(c << 6 | d);
    }
    if (wrong || text[27] != '=' || bytes[CONTEXT_BYTES] != 0)
        return 0;
    context->hash = 0;
    for (int i = 0; i < 8; i++)
        context->hash |= (uint64_t)bytes[i] << 8 * i;
    context->pathway_start_ns = context_read_ns(bytes + 8);
    context->edge_start_ns = context_read_ns(bytes + 14);
    return context->pathway_start_ns >= 0 && context->edge_start_ns >= 0;
}

/* Writes a time as six bytes. Returns 0 unless it takes six. */
static inline int context_write_ns(int64_t ns, uint8_t *bytes)
{
    int64_t milliseconds = ns / NS_PER_MS;
    if (milliseconds < (int64_t)1 << 34 || milliseconds >= (int64_t)1 << 41)
        return 0;
    uint64_t zigzag = (uint64_t)milliseconds * 2;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)((zigzag >> 7 * i & 127) | (i < 5 ? 128 : 0));
    return 1;
}

/* Writes a context as CONTEXT_CHARACTERS characters. Returns 0 unless it has the common shape. */
static inline int context_write(const Context *context, char *text)
{
    uint8_t bytes[CONTEXT_BYTES + 1];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(context->hash >> 8 * i);
    if (!context_write_ns(context->pathway_start_ns, bytes + 8) || !context_write_ns(context->edge_start_ns, bytes + 14))
        return 0;
    bytes[CONTEXT_BYTES] = 0;
    for (int group = 0; group < 7; group++) {
        const uint8_t *in = bytes + 3 * group;
        char *out = text + 4 * group;
        out[0] = BASE64[in[0] >> 2];
        out[1] = BASE64[(in[0] & 3) << 4 | in[1] >> 4];
        out[2] = BASE64[(in[1] & 15) << 2 | in[2] >> 6];
        out[3] = BASE64[in[2] & 63];
    }
    text[27] = '=';
    return 1;
}

#endif
