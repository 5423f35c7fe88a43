/* The counts of one point in one bucket: how many values fell into which bin of which histogram.
 *
 * A small hash table with open addressing, since a point may have three bins or three thousand. A key is a histogram
 * and a bin (`make_key`); a count of zero marks a free place.
 */
#ifndef ASYNCDSM_BINS_H
#define ASYNCDSM_BINS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { EDGE_LATENCY, PATHWAY_LATENCY, PAYLOAD_SIZE, HISTOGRAMS };

#define BIN_BITS 13
#define ZERO_BIN 0 /* of values that are zero; the bins of ns and bytes are 1 to 4156 */

typedef struct {
    uint32_t key, count;
} Bin;

#define FEW_BINS 4

/* Most points have few bins, which are in the structure itself: with many thousands of points, each visit to another
 * place in memory takes half as long as all the rest. So it must not be moved.
 */
typedef struct {
    Bin *bins;
    uint32_t used, capacity; /* capacity: a power of two, or 0 */
    Bin few[FEW_BINS];
} Bins;

/* Set from `core/histogram.py`, so that both cores round alike. */
static double BIN_MULTIPLIER, BIN_OFFSET;

static inline uint32_t bin_of_value(double value)
{
    return (uint32_t)floor(log(value) * BIN_MULTIPLIER + BIN_OFFSET);
}

static inline uint32_t bin_of_ns(int64_t ns)
{
    return ns > 0 ? bin_of_value((double)ns * 1e-9) : ZERO_BIN;
}

static inline uint32_t bin_of_bytes(int64_t bytes)
{
    return bytes > 0 ? bin_of_value((double)bytes) : ZERO_BIN;
}

static inline uint32_t make_key(uint32_t histogram, uint32_t bin)
{
    return histogram << BIN_BITS | bin;
}

/* Returns the place of a key, or the free place where it belongs. There must be a free one. */
static inline Bin *bins_find(const Bins *bins, uint32_t key)
{
    uint32_t mask = bins->capacity - 1, place = key * 2654435769u >> 7 & mask;
    while (bins->bins[place].count && bins->bins[place].key != key)
        place = (place + 1) & mask;
    return &bins->bins[place];
}

static void bins_free(Bins *bins)
{
    if (bins->bins != bins->few)
        free(bins->bins);
}

/* Returns 0 if there is no memory. The structure was all zeros at first. */
static int bins_grow(Bins *bins)
{
    if (!bins->capacity) {
        bins->bins = bins->few;
        bins->capacity = FEW_BINS;
        return 1;
    }
    Bins grown = {calloc(2 * bins->capacity, sizeof(Bin)), bins->used, 2 * bins->capacity, {{0, 0}}};
    if (!grown.bins)
        return 0;
    for (uint32_t i = 0; i < bins->capacity; i++)
        if (bins->bins[i].count)
            *bins_find(&grown, bins->bins[i].key) = bins->bins[i];
    bins_free(bins);
    *bins = grown;
    return 1;
}

/* Counts a value. Returns 0 if there is no memory. */
static inline int bins_add(Bins *bins, uint32_t key)
{
    Bin *bin = bins->capacity ? bins_find(bins, key) : NULL;
    if (!bin || !bin->count) {
        if (4 * (bins->used + 1) > 3 * bins->capacity) {
            if (!bins_grow(bins))
                return 0;
            bin = bins_find(bins, key);
        }
        bin->key = key;
        bins->used++;
    }
    if (bin->count < UINT32_MAX)
        bin->count++;
    return 1;
}

#endif
