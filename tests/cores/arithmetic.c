/* Lets bytes decide what is done with the C parts of the native core, and compares it with the plainest way to do it.
 *
 * Compiled with sanitizers. `arithmetic SECONDS` feeds it random bytes; with -DFUZZER, libFuzzer finds them instead.
 */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "bins.h"
#include "context.h"
#include "points.h"
#include "sketch.h"

#define KEYS 64

static void check_context(const uint8_t *data, size_t size)
{
    Context context, again;
    char text[CONTEXT_CHARACTERS];
    if (size < CONTEXT_CHARACTERS || !context_read((const char *)data, &context))
        return;
    assert(context.pathway_start_ns >= 0 && context.edge_start_ns >= 0);
    if (context_write(&context, text)) { /* not if a time has six bytes and could have fewer */
        assert(memcmp(text, data, CONTEXT_CHARACTERS) == 0);
        assert(context_read(text, &again) && again.hash == context.hash);
    }
}

static void check_any_context(const uint8_t *data, size_t size)
{
    Context context, again;
    char text[CONTEXT_CHARACTERS];
    if (size < 24)
        return;
    memcpy(&context, data, 24);
    if (!context_write(&context, text))
        return;
    assert(context_read(text, &again));
    assert(again.hash == context.hash);
    assert(again.pathway_start_ns == context.pathway_start_ns / NS_PER_MS * NS_PER_MS);
    assert(again.edge_start_ns == context.edge_start_ns / NS_PER_MS * NS_PER_MS);
}

static void check_bins(const uint8_t *data, size_t size)
{
    Bins bins = {0};
    uint32_t expected[3][256] = {{0}}, used = 0, found = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        used += !expected[data[i] % 3][data[i + 1]]++;
        assert(bins_add(&bins, make_key(data[i] % 3, data[i + 1] * 16u)));
    }
    assert(bins.used == used);
    for (uint32_t i = 0; i < bins.capacity; i++) {
        uint32_t key = bins.bins[i].key, bin = key & ((1 << BIN_BITS) - 1);
        if (bins.bins[i].count) {
            assert(bins.bins[i].count == expected[key >> BIN_BITS][bin / 16]);
            found++;
        }
    }
    assert(found == used);
    Buffer buffer = {0};
    Row row = {size, 0, (const char *)data, size, &bins};
    assert(put_row(&buffer, &row) && buffer.used <= buffer.capacity);
    free(buffer.bytes);
    bins_free(&bins);
}

static void check_points(const uint8_t *data, size_t size)
{
    PointTable table = {0};
    const void *expected[KEYS] = {0};
    for (size_t i = 0; i < size; i++) {
        uint64_t parent = data[i] % KEYS;
        const void *point = &data[i];
        if (data[i] & 64 && !expected[parent]) {
            assert(points_add(&table, parent, (void *)point));
            expected[parent] = point;
        } else if (data[i] & 128) {
            points_remove(&table, parent, expected[parent] ? expected[parent] : point);
            expected[parent] = NULL;
        }
        assert(points_find(&table, parent) == expected[parent]);
    }
    for (uint64_t parent = 0; parent < KEYS; parent++)
        assert(points_find(&table, parent) == expected[parent]);
    points_clear(&table);
}

static void check_latencies(const uint8_t *data, size_t size)
{
    int64_t ns;
    if (size < sizeof ns)
        return;
    memcpy(&ns, data, sizeof ns);
    assert(bin_of_ns(ns) < 1 << BIN_BITS && bin_of_bytes(ns) < 1 << BIN_BITS);
    assert((bin_of_ns(ns) == ZERO_BIN) == (ns <= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BIN_MULTIPLIER = 64.49955;
    BIN_OFFSET = 1338.5;
    context_prepare();
    check_context(data, size);
    check_any_context(data, size);
    check_bins(data, size);
    check_points(data, size);
    check_latencies(data, size);
    return 0;
}

#ifndef FUZZER
int main(int arguments, char **argument)
{
    static uint8_t data[512];
    uint64_t state = 88172645463325252u;
    time_t end = time(NULL) + (arguments > 1 ? atoi(argument[1]) : 1);
    long inputs = 0;
    for (; time(NULL) < end; inputs++) {
        size_t size = inputs % sizeof data;
        for (size_t i = 0; i < size; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            /* Often a character of base64, so that many inputs are contexts. */
            data[i] = state & 256 ? (uint8_t)BASE64[state & 63] : (uint8_t)state;
        }
        if (inputs % 3 == 0 && size >= CONTEXT_CHARACTERS) {
            for (size_t i = 0; i < CONTEXT_CHARACTERS; i++)
                data[i] = (uint8_t)BASE64[data[i] & 63];
            data[27] = '=';
        }
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%ld inputs\n", inputs);
    return 0;
}
#endif
