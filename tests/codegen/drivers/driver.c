// Scores the rows of rows.bin, 64-bit floats, into found.bin: of each row its scores, its predictions, its probabilities.
#include <stdio.h>

#include "scorer.h"

#ifdef SCORER_CLASSES
#define PROBABILITIES SCORER_CLASSES
#else
#define PROBABILITIES 0
#endif

int main(void) {
    FILE *rows = fopen("rows.bin", "rb"), *found = fopen("found.bin", "wb");
    double row[SCORER_INPUTS];
    if (rows == NULL || found == NULL) return 2;
    while (fread(row, sizeof row, 1, rows) == 1) {
        scorer_input input = scorer_input_of_row(row);
        double numbers[SCORER_SCORES + SCORER_OUTPUTS + PROBABILITIES];
        scorer_refusal refusal;
        if (scorer_score(&input, numbers, &refusal) != 0 ||
            scorer_predict(&input, &numbers[SCORER_SCORES], &refusal) != 0) {
            int is_missing = refusal.value != refusal.value;
            fprintf(stderr, "input \"%s\" is ", refusal.input);
            if (is_missing) fprintf(stderr, "missing"); else fprintf(stderr, "%g", refusal.value);
            fprintf(stderr, ", expected %s\n", refusal.rule);
            return 3;
        }
#if PROBABILITIES
        if (scorer_predict_proba(&input, &numbers[SCORER_SCORES + SCORER_OUTPUTS], NULL) != 0) return 3;
#endif
        if (fwrite(numbers, sizeof numbers, 1, found) != 1) return 2;
    }
    return fclose(found) == 0 ? 0 : 2;
}
