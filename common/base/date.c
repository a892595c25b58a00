#include "common/base/date.h"

#include <stdio.h>

enum {
    DAYS_OF_ERA = 146097,  /* 400 years */
    DAYS_TO_1970 = 719468, /* from 0000-03-01 */
    SECONDS_OF_DAY = 24 * 3600
};

static const int64_t NS_OF_SECOND = 1000000000;

static int64_t floor_divide(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

/* Source: H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days: years begin on 1 March, so that
 * the leap day is the last of its year. */
static void civil_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t shifted = days + DAYS_TO_1970;
    int64_t era = floor_divide(shifted, DAYS_OF_ERA);
    int64_t day_of_era = shifted - era * DAYS_OF_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_OF_ERA - 1)) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

void date_format(int64_t wall_ns, char *target, size_t size)
{
    int64_t seconds = floor_divide(wall_ns, NS_OF_SECOND);
    int64_t microseconds = (wall_ns - seconds * NS_OF_SECOND) / 1000;
    int64_t days = floor_divide(seconds, SECONDS_OF_DAY);
    int64_t second_of_day = seconds - days * SECONDS_OF_DAY;
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    civil_from_days(days, &year, &month, &day);
    snprintf(target, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year, (int)month, (int)day,
             (int)(second_of_day / 3600), (int)(second_of_day / 60 % 60), (int)(second_of_day % 60), (int)microseconds);
}
